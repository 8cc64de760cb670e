"""Ridge regression that learns from its own predictions: exact risks, and simulations beside them.

Labels are y = Xw + noise of variance s^2. Generation 0 is fitted to labels of the true w, and each
generation then labels the same T rows of X again, with its own estimate in the place of w. Without
a penalty that is the linear model of Gerstgrasser et al. (arXiv 2404.01413, section 2).

In the eigenbasis of X'X / T, with eigenvalues e, everything falls apart into coordinates: ridge
with penalty T l shrinks each by a = e / (e + l), and the noise of its least-squares estimate has
variance z = s^2 / (T e). On a pool of m sets of labels the penalty is m T l, so that a stays, or
still T l, if its total is `fixed`, and a = e / (e + l / m). Risk is the expected squared error of
predictions for rows like those of X, less the noise that nothing can predict: the sum over
coordinates of e times squared bias plus variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Array = np.ndarray
REGIMES = ("replace", "accumulate", "accumulate-subsample")


@dataclass(frozen=True)
class Task:
    """A regression: a fixed design with orthogonal columns, its truth, noise and penalty.

    eigenvalues, truth: (coordinates,).
    rows: T, of each generation's labels.
    noise: standard deviation s of a label.
    penalty: l, of ridge a row; 0 is least squares.
    fixed: whether the total penalty stays T l as a pool of labels grows.
    """

    eigenvalues: Array
    truth: Array
    rows: int
    noise: float
    penalty: float = 0.0
    fixed: bool = False

    def a_row(self, sets: int = 1) -> float:
        """The penalty a row of a pool with m sets of labels."""
        return self.penalty / sets if self.fixed else self.penalty

    def shrinkage(self, sets: int = 1) -> Array:
        """a, the factor on the least-squares estimate of each coordinate, for a pool of m sets."""
        return self.eigenvalues / (self.eigenvalues + self.a_row(sets))

    @property
    def unit(self) -> float:
        """s^2 d / T: the risk of least squares that is fitted to human labels once."""
        return self.noise**2 * len(self.truth) / self.rows


def risk(task: Task, regime: str, generations: int) -> Array:
    """Expected risk of generations 0 to `generations`, (generations + 1,).

    Exact for `replace` and `accumulate`. For `accumulate-subsample`, which draws one label from the
    pool for each row, it is the leading term in d / T: that the labels of a row differ by what the
    generations believe, and not by noise alone, is left out.

    Without a penalty these are, in units of s^2 d / T, the laws of the mean of a Gaussian in
    `drift`: n + 1 for `replace`, and that of `accumulated_variance` for `accumulate`.
    """
    z = task.noise**2 / (task.rows * task.eigenvalues)
    grows = regime == "accumulate"
    # Of the least-squares estimate: the share of the truth in it, and its variance.
    signal, variance = np.ones_like(z), z.copy()
    found = []
    for n in range(generations + 1):
        a = task.shrinkage(n if grows and n else 1)  # of the generation that made the new labels
        drawn = z * n / (n + 1) if regime == "accumulate-subsample" else 0 * z
        if n and regime == "replace":
            signal, variance = a * signal, a**2 * variance + z
        elif n:  # a pool of n + 1 sets of labels, whose mean counts
            before = z * (n - 1) / n if regime == "accumulate-subsample" else 0 * z
            signal = signal * (n + a) / (n + 1)
            variance = ((n + a) / (n + 1)) ** 2 * variance + (a**2 * before + z) / (n + 1) ** 2
        a = task.shrinkage(n + 1 if grows else 1)
        bias = (a * signal - 1) * task.truth
        found.append(float((task.eigenvalues * (bias**2 + a**2 * (variance + drawn))).sum()))
    return np.array(found)


def simulate(task: Task, regime: str, generations: int, chains: int, random: Generator) -> Array:
    """Risk of simulated chains, each fitted by its normal equations, (chains, generations + 1)."""
    dimensions = len(task.truth)
    orthogonal = np.linalg.qr(random.standard_normal((task.rows, dimensions)))[0]
    design = orthogonal * np.sqrt(task.rows * task.eigenvalues)
    gram, unit = design.T @ design / task.rows, np.eye(dimensions)
    sets = (
        np.arange(1, generations + 2) if regime == "accumulate" else np.ones(generations + 1, int)
    )
    solvers = [
        np.linalg.solve(gram + task.a_row(int(m)) * unit, design.T / task.rows) for m in sets
    ]
    found = np.zeros((chains, generations + 1))
    for chain in range(chains):
        weights, labels = task.truth, []
        for n in range(generations + 1):
            labels.append(design @ weights + task.noise * random.standard_normal(task.rows))
            weights = solvers[n] @ _targets(labels, regime, random)
            found[chain, n] = (task.eigenvalues * (weights - task.truth) ** 2).sum()
    return found


def _targets(labels: list[Array], regime: str, random: Generator) -> Array:
    """What is fitted: one label a row, for the mean of several has the same least squares."""
    if regime == "replace":
        return labels[-1]
    pool = np.stack(labels)
    if regime == "accumulate":
        return pool.mean(0)
    rows = pool.shape[1]
    return pool[random.integers(0, len(labels), rows), np.arange(rows)]


# -- a constant share of synthetic labels ------------------------------------------------------


def floor(share: float, rows: Array, task: Task) -> Array:
    """Risk of least squares on n rows, a share p of them labelled by a model of T human rows.

    To leading order s^2 d / (n - d - 1) + p^2 s^2 d / (T - d - 1), for random rows: more of them
    help with noise alone, and the second term is where scaling stops. It stands for strong model
    collapse (Dohmatob et al., arXiv 2410.04840) in the simplest case, with their shift of labels
    being the error of that one model.

    Args:
        rows: n, any shape.
    """
    return _fitted_once(task, np.asarray(rows)) + share**2 * _fitted_once(
        task, np.asarray(task.rows)
    )


def _fitted_once(task: Task, rows: Array) -> Array:
    """Expected risk of least squares on standard normal rows (an inverse Wishart's mean)."""
    dimensions = len(task.truth)
    return task.noise**2 * dimensions / (rows - dimensions - 1)


def simulate_floor(share: float, rows: int, task: Task, chains: int, random: Generator) -> Array:
    """The same simulated, (chains,), with standard normal rows, so that all eigenvalues are 1."""
    dimensions, found = len(task.truth), np.zeros(chains)
    for chain in range(chains):
        human = random.standard_normal((task.rows, dimensions))
        noise = task.noise * random.standard_normal(task.rows)
        model = np.linalg.lstsq(human, human @ task.truth + noise)[0]
        x = random.standard_normal((rows, dimensions))
        synthetic = np.arange(rows) < round(share * rows)
        labels = np.where(synthetic, x @ model, x @ task.truth)
        labels = labels + task.noise * random.standard_normal(rows)
        found[chain] = ((np.linalg.lstsq(x, labels)[0] - task.truth) ** 2).sum()
    return found
