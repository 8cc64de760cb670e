"""The settings of the paper at every scale, from committed records: what the landing page shows."""

from dataclasses import dataclass

from IPython.display import HTML

import retention
from collapse.book import chapter, figures, ratios
from collapse.experiment import arms
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import verdicts
from collapse.measure.verdicts import Reference


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
        for name, reference in retention.SETTINGS.items():
            values = chapter.settings(name, scale, {})
            protocol = Protocol.among(values)
            runs = chapter.recorded(values)
            found.append(Row(scale, arms.label(protocol), protocol, reference, runs))
    return found


def best(overview: list[Row]) -> tuple[figures.Arms, figures.Arms]:
    """The runs of the best scale at which every setting was run, and those of the others."""
    whole = {row.scale for row in overview} - {row.scale for row in overview if not row.runs}
    scale = next((scale for scale in chapter.PUBLISHED if scale in whole), "")
    front = {row.setting: row.runs for row in overview if row.scale == scale}
    behind = {
        f"{row.setting}, {row.scale} scale": row.runs
        for row in overview
        if row.scale != scale and row.runs
    }
    return front, behind


def table(overview: list[Row]) -> HTML:
    """The rows as a table for a page."""
    shown = []
    for row in overview:
        p, runs = row.protocol, row.runs
        ratio = ratios.ratio(runs)
        shown.append(
            {
                "setting": row.setting,
                "scale": row.scale,
                "model": runs[0].record.base["name"] if runs else p.model,
                "models in the chain": p.generations,
                "seeds": ", ".join(str(r.record.protocol.seed) for r in runs) or "none",
                "last ÷ first perplexity": str(ratio),
                "read from the paper": f"{row.reference.low:.2f} to {row.reference.high:.2f}",
                "verdict": verdicts.beside(ratio, row.reference),
            }
        )
    return figures.table(shown, verdicts.RULE)
