"""Records of runs that nobody computed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import ARRAYS, Record
from collapse.measure import gauges
from collapse.measure.gauges import COLUMNS

GROWING = {0: [20.0, 24.0, 28.0], 1: [10.0, 12.0, 16.0], 2: [40.0, 44.0, 60.0]}  # 1.4, 1.6, 1.5
STABLE = {0: [20.0, 21.0, 20.0], 1: [10.0, 10.0, 8.0], 7: [5.0, 5.0, 5.0]}  # 1.0, 0.8


def make_record(
    protocol: Protocol, perplexities: list[float] | None = None, scale: str = "smoke"
) -> Record:
    """A record with plausible numbers, the same for the same protocol."""
    random = np.random.default_rng(protocol.seed)
    length = protocol.generations
    rows = pd.DataFrame({name: 1 + random.random(length) for name in COLUMNS})
    rows["generation"] = range(length)
    rows["test_perplexity"] = perplexities or [20.0 + n / 3 for n in range(length)]
    rows["test_perplexity_low"] = rows["test_perplexity"] - 1
    rows["test_perplexity_high"] = rows["test_perplexity"] + 1
    nats = {
        name: random.normal(3, 0.3, (length, 5 if name.startswith("test") else 7))
        for name, (axes, kind) in ARRAYS.items()
        if axes == 2
    }
    losses = np.log(rows["test_perplexity"].to_numpy())[:, None]
    nats["test_nll"] += losses - nats["test_nll"].mean(1, keepdims=True)
    arrays = {
        "text": random.integers(0, 11, (length, 7, 8)).astype(np.uint16),
        **{name: array.astype(np.float32) for name, array in nats.items()},
        "sample_nll": random.normal(3, 0.3, (length, 1, 7)).astype(np.float32),
        "sample_human_nll": random.normal(3, 0.3, (length, 1, 7)).astype(np.float32),
        "sample_human": random.integers(0, 11, 8).astype(np.int32),
        "human_counts": random.integers(1, 9, 11).astype(np.int32),
        "held_out_counts": random.integers(1, 9, 11).astype(np.int32),
        "test_writable": np.full(5, 6, np.int32),
        "test_bytes": np.full(5, 20, np.int32),
    }
    history = [{"epoch": 1, "train_nll": 3.5, "valid_nll": 3.25}]
    sample = {
        "row": 3,
        "prompt": "a ☂",
        "human": "b",
        "generations": [f"text {n}" for n in range(length)],
    }
    return Record(
        protocol=protocol,
        arrays=arrays,
        training=[{"blocks": 7, "human_blocks": n, "history": history} for n in range(length)],
        samples=[sample],
        base={
            "name": "toy", "parameters": 3, "identity": {"sha256": "0"},
            "zero_shot_perplexity": 99.5,
        },
        corpus={
            "sha256": {"train": "0"},
            "blocks": {"train": 7, "valid": 5, "test": 5},
            "human_text": {name: 1.5 for name in gauges.TEXT},
        },
        provenance={
            "scale": scale, "date": "2026-01-01T00:00:00Z", "commit": None, "device": "toy",
            "threads": 1, "python": "3.11", "versions": {"torch": "0"},
            "seconds": [1.5] * length,
        },
        table=rows,
    )  # fmt: skip


def runs_of(ends: dict[int, list[float]], computed: bool = False, **fields: Any) -> list[Run]:
    """Runs whose test perplexities are given by seed."""
    return [
        Run(make_record(Protocol(generations=len(ppl), seed=seed, **fields), ppl), computed)
        for seed, ppl in ends.items()
    ]


def texts_in(figure: Any) -> str:
    """All that is written in a figure."""
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))
