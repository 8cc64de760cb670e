"""The settings of the paper at every scale, from committed records: what the landing page shows."""

from dataclasses import dataclass

from IPython.display import HTML

from collapse.book import chapter, figures, results
from collapse.book.results import Reference
from collapse.experiment.loop import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import verdicts

# Chapter -> the range that the paper gives for its setting.
SETTINGS = {
    "no-retention": results.NOTHING_RETAINED,
    "ten-percent-retention": results.MINOR_DEGRADATION,
}


@dataclass(frozen=True)
class Row:
    """One setting at one scale; `runs` is empty where nothing has been run."""

    scale: str
    setting: str
    protocol: Protocol
    reference: Reference
    runs: list[Run]


def rows() -> list[Row]:
    """Both settings at each scale, the best first, with the committed runs of each."""
    found = []
    for scale in chapter.PUBLISHED:
        for name, reference in SETTINGS.items():
            values = chapter.settings(name, scale, {})
            protocol = Protocol.among(values)
            setting = results.label(protocol)
            found.append(Row(scale, setting, protocol, reference, chapter.recorded(values)))
    return found


def table(overview: list[Row]) -> HTML:
    """The rows as a table for a page."""
    shown = []
    for row in overview:
        p, runs = row.protocol, row.runs
        shown.append(
            {
                "setting": row.setting,
                "scale": row.scale,
                "model": runs[0].record.base["name"] if runs else p.model,
                "models in the chain": p.generations,
                "seeds": ", ".join(str(r.record.protocol.seed) for r in runs) or "none",
                "last ÷ first perplexity": str(results.ratio(runs)) if runs else "not run yet",
                "read from the paper": f"{row.reference.low:.2f} to {row.reference.high:.2f}",
                "verdict": results.verdict(results.ratio(runs), row.reference),
            }
        )
    return figures.table(shown, verdicts.RULE)
