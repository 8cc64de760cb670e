"""Recovery: a collapsed model trained further on human text that no generation has seen."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from collapse.book import figures
from collapse.experiment.loop import Run
from collapse.measure import per_seed
from collapse.measure.per_seed import PerSeed

Mended = dict[tuple[int, int], list[Run]]  # rounds of collapse before, human blocks -> runs


def curve(run: Run) -> pd.DataFrame:
    """Perplexity on human validation text by epoch of the recovery; epoch 0 is before it.

    Columns: `epoch`, `perplexity`.
    """
    before = float(run.record.generations["valid_perplexity"].iloc[-2])
    after = np.exp(run.record.arrays["recovery_nll"].astype(np.float64))
    values = np.concatenate([[before], after])
    return pd.DataFrame({"epoch": np.arange(len(values)), "perplexity": values})


def regained(runs: list[Run]) -> PerSeed:
    """The share of the lost loss on human test text that a recovery brings back, over seeds.

    1 is the loss of generation 0. A seed that had lost nothing is left out.
    """
    by_seed = {}
    for run in runs:
        loss = np.log(run.record.generations["test_perplexity"].to_numpy())
        if loss[-2] > loss[0]:
            back = (loss[-2] - loss[-1]) / (loss[-2] - loss[0])
            by_seed[run.record.protocol.seed] = float(back)
    return per_seed.values(by_seed)


def epochs_back(runs: list[Run]) -> dict[int, int | None]:
    """By seed, the epochs after which validation loss is that of generation 0; None if never."""
    found: dict[int, int | None] = {}
    for run in runs:
        rows = curve(run)
        original = float(run.record.generations["valid_perplexity"].iloc[0])
        there = rows["epoch"][rows["perplexity"] <= original]
        found[run.record.protocol.seed] = None if there.empty else int(there.iloc[0])
    return found


def beside(runs: list[Run], others: list[Run]) -> PerSeed:
    """Last test perplexity of one arm over another's, seed by seed."""
    first, second = (
        per_seed.ratios(
            {
                run.record.protocol.seed: float(run.record.generations["test_perplexity"].iloc[-1])
                for run in arm
            }
        )
        for arm in (runs, others)
    )
    return first / second


def enough(mended: Mended, rounds: int) -> int | None:
    """The least number of blocks after which all seeds are back at generation 0's loss."""
    for (before, blocks), runs in sorted(mended.items()):
        if before == rounds and min(regained(runs).by_seed.values(), default=0) >= 1:
            return blocks
    return None


def figure(mended: Mended) -> tuple[Figure, pd.DataFrame]:
    """Perplexity by epoch of the recovery, a panel for each number of rounds before it."""
    figures.style()
    rounds = sorted({before for before, _ in mended})
    amounts = sorted({blocks for _, blocks in mended})
    made, panels = plt.subplots(
        1, max(len(rounds), 1), figsize=(10, 4.8), layout="constrained", sharey=True, squeeze=False
    )
    parts = []
    for axes, before in zip(panels[0], rounds, strict=False):
        originals: list[float] = []
        for index, blocks in enumerate(amounts):
            runs = mended.get((before, blocks), [])
            place = (index, len(amounts))
            rows = [curve(run).assign(seed=run.record.protocol.seed) for run in runs]
            if not rows:
                continue
            data = pd.concat(rows, ignore_index=True)
            label = f"{blocks:,} blocks"
            figures.seeds_and_mean(axes, data, "perplexity", place, label, by="epoch")
            parts.append(data.assign(rounds=before, blocks=blocks))
            originals += [float(r.record.generations["valid_perplexity"].iloc[0]) for r in runs]
        if originals:
            axes.axhline(np.mean(originals), color="black", lw=1.2, ls=":", label="generation 0")
        words = "before any collapse" if before == 0 else f"after {before} rounds of collapse"
        axes.set(title=f"Human text {words}", xlabel="epochs on human text")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0, 0].set_ylabel("perplexity on human validation text")
    if parts:
        panels[0, -1].legend(fontsize=9)
    figures.sign(made, [run for runs in mended.values() for run in runs])
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
