"""The paper's settings beside those of the runs on a page: what differs, and what does not."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from IPython.display import HTML

from collapse.book import figures
from collapse.experiment import sources
from collapse.experiment.arms import way_of_writing
from collapse.experiment.protocol import Protocol

if TYPE_CHECKING:  # or torch would be loaded
    from collapse.experiment.arms import Run
    from collapse.experiment.record import Record

# Shumailov et al. 2024, p. 757: OPT-125m, and five seeds.
PAPER_MODEL, PAPER_SEEDS = "OPT-125m, 125 million parameters", "5"


def paper_and_here(
    paper: Protocol, arms: "Sequence[list[Run]]", varies: Sequence[str] = ()
) -> HTML:
    """A table with a row for each setting, those that are the same everywhere in a line below.

    Args:
        paper: the setting as the paper has it.
        arms: the runs of each arm, which become columns named by model and scale.
        varies: the settings that differ among the runs of the page.
    """
    told = {"the paper": _of_paper(paper)}
    for runs in arms:
        if runs:
            record = runs[0].record
            name = f"{_short(record)}, {record.provenance['scale']}"
            told[name] = _of_runs(runs) | dict.fromkeys(varies, "varied")
    rows, same = [], []
    for key in told["the paper"]:
        values = {name: column[key] for name, column in told.items()}
        if len(set(values.values())) == 1:
            same.append(f"{key}: {values['the paper']}")
        else:
            rows.append({"setting": key, **values})
    below = f"The same in all: {'; '.join(same)}." if same else ""
    caption = "The paper's settings, and those of the runs on this page."
    chapter = os.environ.get("COLLAPSE_CHAPTER", "")
    return figures.table(rows, below, id=f"tab-settings-{chapter}", caption=caption)


def _of_paper(protocol: Protocol) -> dict[str, str]:
    blocks = f"all of it, in blocks of {protocol.block_length} tokens"
    return {"model": PAPER_MODEL, "training text": blocks, "seeds": PAPER_SEEDS, **_of(protocol)}


def _of_runs(runs: "list[Run]") -> dict[str, str]:
    record, protocol = runs[0].record, runs[0].record.protocol
    size = f"{record.base['parameters'] / 1e6:,.3g} million parameters"
    blocks = f"{record.corpus['blocks']['train']:,} blocks of {protocol.block_length} tokens"
    return {
        "model": f"{_short(record)}, {size}",
        "training text": blocks,
        "seeds": str(len({run.record.protocol.seed for run in runs})),
        **_of(protocol),
    }


def _short(record: "Record") -> str:
    return str(record.base["name"]).partition(" (")[0]


def _of(protocol: Protocol) -> dict[str, str]:
    return {
        "models in a row": str(protocol.generations),
        "text is written by": way_of_writing(protocol),
        "human text kept": f"{100 * protocol.retained:g} %",
        "older text": "thrown away" if protocol.regime == "replace" else "kept",
        "passes over the text": str(protocol.epochs),
        "blocks in a step": str(protocol.batch),
        "learning rate": f"{protocol.lr:.0e}".replace("e-0", "e-"),
        "arithmetic": {"fp32": "32 bits", "bf16": "16 bits (bf16)"}[protocol.precision],
        "text": sources.title(protocol.corpus),
        "each model starts from": {
            "pretrained": "the pretrained weights",
            "previous": "the weights of the one before",
        }[protocol.init],
    }
