"""What two models make of the same held-out text: did the new one get worse, block by block?"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collapse.measure.alarms import sign_evidence
from collapse.watch.texts import WatchError, lines

MARGIN = 0.01  # of perplexity, by which a block must get worse to count


@dataclass(frozen=True)
class Scores:
    """How many blocks of held-out text the new model finds less likely by more than a margin."""

    blocks: int
    worse: int
    margin: float
    perplexity_ratio: float  # of the new model to the old, over all blocks
    e_value: float
    alarm: bool


def judge(path: str | Path, margin: float, rate: float) -> Scores:
    """Compare an old and a new model on blocks of held-out text that neither was trained on.

    Blocks are pairs for a one-sided sign test: an e-value against one half of them getting worse by
    more than the margin. It rings at 1 / rate or more.

    Args:
        path: a CSV file with columns `old` and `new`, or JSONL with these fields: for each block
            the mean log-probability of its tokens under the model, in nats, 0 or below.

    Raises:
        WatchError: the file cannot be read, or a line of it is not two numbers of 0 or below.
    """
    drops = [old - new for old, new in _pairs(Path(path))]
    if not drops:
        raise WatchError(f"{path} has no block; give a line for each")
    worse = sum(drop > math.log1p(margin) for drop in drops)
    evidence = math.exp(min(float(sign_evidence(np.array(worse), len(drops))), 700))
    ratio = math.exp(min(sum(drops) / len(drops), 700))
    return Scores(len(drops), worse, margin, ratio, evidence, evidence >= 1 / rate)


def _pairs(path: Path) -> Iterator[tuple[float, float]]:
    read = lines(path)
    json_lines = path.suffix in (".jsonl", ".ndjson") or path.name.endswith(".jsonl.gz")
    try:
        rows: Any = map(json.loads, filter(str.strip, read)) if json_lines else csv.DictReader(read)
        for number, row in enumerate(rows, 1):
            try:
                pair = float(row["old"]), float(row["new"])
            except (KeyError, TypeError, ValueError) as error:
                raise WatchError(
                    f"block {number} of {path} has no numbers 'old' and 'new'; give both"
                ) from error
            if not all(-math.inf < value <= 0 for value in pair):
                raise WatchError(
                    f"block {number} of {path} has {pair[0]:g} and {pair[1]:g}, which are not "
                    "logarithms of probabilities; give mean log-probabilities in nats, 0 or below"
                )
            yield pair
    except (ValueError, csv.Error) as error:
        raise WatchError(f"{path} is no table of scores ({error}); give CSV or JSONL") from error
