"""The runs of an arm, one a seed: which are there, which are to be computed, and words for them."""

from dataclasses import dataclass

from collapse.experiment import records, sources
from collapse.experiment.protocol import Arm, Protocol
from collapse.experiment.record import Record, RecordError


@dataclass(frozen=True)
class Run:
    """A record, and whether it was computed in this build or read from `records/`."""

    record: Record
    computed: bool


def missing(wanted: Arm) -> list[Protocol]:
    """The runs of an arm that have to be computed here, in the order of their seeds."""
    if wanted.compute == "missing":
        return [p for p in wanted.runs() if records.find(p, records.published()) is None]
    if wanted.compute == "seed":
        return [wanted.protocol]
    return wanted.runs() if wanted.compute == "all" else []


def committed(wanted: Arm) -> list[Run]:
    """The runs of an arm that are in `records/`, in the order of their seeds."""
    found = (records.find(protocol, records.published()) for protocol in wanted.runs())
    return [Run(record, computed=False) for record in found if record]


def one_of(runs: list[Run], seed: int) -> Run:
    """The run of a seed, or the first there is; refused where there is none."""
    if not runs:
        raise RecordError(
            "there is no run to show: none of this setting is in records/, and none is computed "
            "here; give compute=missing"
        )
    return next((run for run in runs if run.record.protocol.seed == seed), runs[0])


def describe(runs: list[Run]) -> str:
    """From the records: scale, model, corpus, decoding, and the seeds of each arm and their origin.

    Runs that share a base model by name but not by its hash are told apart in words.
    """
    if not runs:
        return "not run yet"
    first, protocols = runs[0].record, [run.record.protocol for run in runs]
    scales = sorted({run.record.provenance["scale"] for run in runs})
    texts = sources.labels(p.corpus for p in protocols)
    ways = list(dict.fromkeys(way_of_writing(p) for p in protocols))
    arms: dict[str, list[Run]] = {}
    for run, p in zip(runs, protocols, strict=True):
        name = label(p)
        name += f", {texts[p.corpus]}" if len(texts) > 1 else ""
        name += f", {way_of_writing(p)}" if len(ways) > 1 else ""
        arms.setdefault(name, []).append(run)
    origins = {name: _origins(members) for name, members in arms.items()}
    told = list(dict.fromkeys(origins.values()))
    if len(told) > 1:
        told = [f"{name}: {origin}" for name, origin in origins.items()]
    bases = {str(run.record.base["identity"]) for run in runs}
    mixed = "; the base models are not bit-identical" if len(bases) > 1 else ""
    return (
        f"{' and '.join(scales)} scale, {first.base['name']} on {' and '.join(texts.values())}, "
        f"{first.corpus['blocks']['train']:,} training blocks, {'; '.join(ways)}; "
        f"{'; '.join(told)}{mixed}"
    )


def label(protocol: Protocol) -> str:
    """The name of an arm in figures and tables."""
    return f"{protocol.epochs} epochs, {protocol.mixture}"


def way_of_writing(protocol: Protocol) -> str:
    """How the text of a run is written, in words."""
    return {
        "beam": f"beam search with {protocol.beams} beams",
        "sample": f"sampling at T={protocol.temperature:g}, top-p {protocol.top_p:g}",
        "greedy": "greedy decoding",
    }[protocol.decoding]


def _origins(runs: list[Run]) -> str:
    parts = []
    for computed, words in ((True, "computed in this build"), (False, "from committed records")):
        seeds = sorted({r.record.protocol.seed for r in runs if r.computed is computed})
        if seeds:
            noun = "seed" if len(seeds) == 1 else "seeds"
            parts.append(f"{noun} {', '.join(map(str, seeds))} {words}")
    return ", ".join(parts)
