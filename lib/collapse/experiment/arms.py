"""What an arm is called, and what the records of some runs say of themselves."""

from typing import TYPE_CHECKING

from collapse.experiment import sources
from collapse.experiment.protocol import Protocol

if TYPE_CHECKING:
    from collapse.experiment.loop import Run


def describe(runs: "list[Run]") -> str:
    """From the records: scale, model, corpus, decoding, and the seeds of each arm and their origin.

    Runs that share a base model by name but not by its hash are told apart in words.
    """
    if not runs:
        return "not run yet"
    first = runs[0].record
    protocols = [run.record.protocol for run in runs]
    decoding = "; ".join(dict.fromkeys(_decoding(p) for p in protocols))
    texts = sources.labels(p.corpus for p in protocols)
    scales = sorted({run.record.provenance["scale"] for run in runs})
    ways = len({_decoding(p) for p in protocols}) > 1
    arms: dict[str, list[Run]] = {}
    for run in runs:
        p = run.record.protocol
        name = label(p) + (f", {texts[p.corpus]}" if len(texts) > 1 else "")
        arms.setdefault(name + (f", {_decoding(p)}" if ways else ""), []).append(run)
    told = [_origins(members) for members in arms.values()]
    if len(set(told)) == 1:
        origins = told[0]
    else:
        pairs = zip(arms, told, strict=True)
        origins = "; ".join(f"{name}: {seeds}" for name, seeds in pairs)
    bases = {str(run.record.base["identity"]) for run in runs}
    mixed = "; the base models are not bit-identical" if len(bases) > 1 else ""
    return (
        f"{' and '.join(scales)} scale, {first.base['name']} on {' and '.join(texts.values())}, "
        f"{first.corpus['blocks']['train']:,} training blocks, {decoding}; {origins}{mixed}"
    )


def label(protocol: Protocol) -> str:
    """The name of an arm in figures and tables."""
    return f"{protocol.epochs} epochs, {protocol.mixture}"


def _decoding(protocol: Protocol) -> str:
    return {
        "beam": f"beam search with {protocol.beams} beams",
        "sample": f"sampling at T={protocol.temperature:g}, top-p {protocol.top_p:g}",
        "greedy": "greedy decoding",
    }[protocol.decoding]


def _origins(runs: "list[Run]") -> str:
    parts = []
    for computed, words in ((True, "computed in this build"), (False, "from committed records")):
        seeds = sorted({r.record.protocol.seed for r in runs if r.computed is computed})
        if seeds:
            noun = "seed" if len(seeds) == 1 else "seeds"
            parts.append(f"{noun} {', '.join(map(str, seeds))} {words}")
    return ", ".join(parts)
