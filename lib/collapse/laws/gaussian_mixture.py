"""Mixtures of Gaussians learnt again and again: three sources of error, one at a time.

Shumailov et al. 2024 (p. 755) tell apart errors of finite samples (statistical), of models that
cannot represent the truth (expressivity), and of learning that does not find the best model it
could (approximation). Here each can be switched off exactly: infinite samples are replaced by the
expectations that they converge to.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

Array = np.ndarray
APART = 2.0  # the true components lie at -2 and 2, with standard deviation 1 and equal weights
# Printed by the paper's released notebook, of the blob that `shared_blob` learns: the standard
# deviations of its two components after the last generation, and the squared difference of the
# last and the first density.
PRINTED, PRINTED_DIFFERENCE = (0.0100, 0.0112), 536.28


@dataclass(frozen=True)
class Mixture:
    """k Gaussians in d dimensions.

    weights: (k,).
    means: (k, d).
    roots: lower Cholesky factors of the covariances, (k, d, d); on a line, standard deviations.
    """

    weights: Array
    means: Array
    roots: Array

    @property
    def covariances(self) -> Array:
        """Of each component, (k, d, d)."""
        return self.roots @ self.roots.swapaxes(1, 2)

    @property
    def deviations(self) -> Array:
        """Standard deviation of each component, the root of its mean variance, (k,)."""
        return np.sqrt(np.trace(self.covariances, axis1=1, axis2=2) / self.means.shape[1])

    def density(self, x: Array) -> Array:
        """At points of a line, any shape; for d = 1."""
        deviations = self.roots[:, 0, 0]
        z = (np.asarray(x)[..., None] - self.means[:, 0]) / deviations
        each = self.weights / deviations * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        return each.sum(-1)

    def draw(self, number: int, random: Generator) -> Array:
        """A sample, (number, d)."""
        which = random.choice(len(self.weights), number, p=self.weights)
        noise = random.standard_normal((number, self.means.shape[1]))
        return self.means[which] + np.einsum("nij,nj->ni", self.roots[which], noise)

    def mean(self) -> Array:
        """Of the whole, (d,)."""
        return self.weights @ self.means

    def covariance(self) -> Array:
        """Of the whole, within the components and between them, (d, d)."""
        second = self.covariances + self.means[:, :, None] * self.means[:, None, :]
        return np.tensordot(self.weights, second, 1) - np.outer(self.mean(), self.mean())


TRUTH = Mixture(np.array([0.5, 0.5]), np.array([[-APART], [APART]]), np.ones((2, 1, 1)))


def one_gaussian(source: Mixture) -> Mixture:
    """Expressivity alone: the best single Gaussian for infinitely many draws.

    Maximum likelihood matches mean and covariance, and a second round matches them again: the error
    is made once.
    """
    root = np.linalg.cholesky(source.covariance())
    return Mixture(np.ones(1), source.mean()[None], root[None])


def fitted(source: Mixture, draws: int, random: Generator) -> Mixture:
    """Statistics alone: as many components fitted by expectation maximisation to finite draws.

    EM is run to its end from the source itself, which is the best start that there is.
    """
    model = GaussianMixture(
        len(source.weights), max_iter=2000, tol=1e-6, reg_covar=1e-12, weights_init=source.weights,
        means_init=source.means, precisions_init=np.linalg.inv(source.covariances),
    )  # fmt: skip
    return _fit(model, source.draw(draws, random))


def sharpened(source: Mixture, temperature: float) -> Mixture:
    """Approximation alone: a learner with infinitely many draws that prefers what is likely.

    Each component is narrowed as if it were drawn from at a temperature below one, N(m, T s^2), and
    the weights are raised to the power 1/T: a bias of the procedure, not of the sample.
    """
    weights = source.weights ** (1 / temperature)
    return Mixture(weights / weights.sum(), source.means, source.roots * temperature**0.5)


def shared_blob(draws: int, generations: int, seed: int) -> list[Mixture]:
    """The released notebook's mixture: two components share one blob, learnt again and again.

    Points of a standard Gaussian in the plane are fitted by two components with full covariances,
    and points of the fit are fitted again. The notebook starts every fit afresh by k-means; here
    each starts from the fit before it, which is where it nearly ends, in a fraction of the time.

    Returns:
        the fits of generation 0, which is to human points, to the last.
    """
    random = np.random.default_rng(seed)
    points, found = random.standard_normal((draws, 2)), []
    model = GaussianMixture(
        2, max_iter=2000, tol=1e-5, reg_covar=1e-9, random_state=seed, warm_start=True
    )
    for _ in range(generations + 1):
        found.append(_fit(model, points))
        points = found[-1].draw(draws, random)
    return found


def difference(one: Mixture, two: Mixture) -> float:
    """Integral of (p - q)^2, in closed form; the paper's notebook measures mixtures like this.

    The product of two Gaussian densities integrates to a Gaussian density of their distance.
    """

    def product(a: Mixture, b: Mixture) -> float:
        both = a.covariances[:, None] + b.covariances[None, :]
        gap = a.means[:, None] - b.means[None, :]
        squares = np.linalg.solve(2 * both, gap[..., :, None] * gap[..., None, :])
        exponent = np.trace(squares, axis1=2, axis2=3)
        scale = np.linalg.cholesky(2 * np.pi * both).diagonal(axis1=2, axis2=3).prod(-1)
        return float(a.weights @ (np.exp(-exponent) / scale) @ b.weights)

    return product(one, one) - 2 * product(one, two) + product(two, two)


def _fit(model: GaussianMixture, points: Array) -> Mixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    return Mixture(model.weights_, model.means_, np.linalg.cholesky(model.covariances_))
