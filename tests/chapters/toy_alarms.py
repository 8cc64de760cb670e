"""Made-up chains for alarms, whose noise and change are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import would_you_have_noticed as noticed

BLOCKS, SPREAD = 64, 0.01
DOSES = (0.1, 0.25)


def run(seed: int, generations: int, change: float, own_noise: float = SPREAD) -> Any:
    """A chain whose gauges all have the same noise, and move by `change` from generation 1 on."""
    random = np.random.default_rng([seed, generations, round(1e6 * abs(change))])
    shifts = np.where(np.arange(generations) > 0, change, 0.0)
    columns = {}
    for name, (_, sign) in noticed.GAUGES.items():
        columns[name] = np.exp(4 + sign * (shifts + random.normal(0, own_noise, generations)))
    losses = 4 + shifts[:, None] + random.normal(0, 0.05, (generations, BLOCKS))
    protocol = SimpleNamespace(seed=seed, train_blocks=16, block_length=64)
    record = SimpleNamespace(
        protocol=protocol, generations=pd.DataFrame(columns), arrays={"test_nll": losses},
        samples=[{}],
    )  # fmt: skip
    return SimpleNamespace(record=record, computed=True)


def found() -> dict[str, list[Any]]:
    """A null of eight seeds, and three of each other chain."""
    chains = {"null": [run(seed, 21, 0.0) for seed in range(8)]}
    for dose in DOSES:
        chains[f"written {dose:g}"] = [run(seed, 9, 0.4 * dose) for seed in range(3)]
    chains["other writing"] = [run(seed, 9, -0.02) for seed in range(3)]
    chains["same text"] = [run(seed, 9, 0.0, SPREAD / 4) for seed in range(3)]
    return chains
