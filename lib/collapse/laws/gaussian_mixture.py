"""A mixture of two Gaussians learnt again and again: three sources of error, one at a time.

Shumailov et al. 2024 (p. 755) tell apart errors of finite samples (statistical), of models that
cannot represent the truth (expressivity), and of learning that does not find the best model it
could (approximation). Here each can be switched off exactly: infinite samples are replaced by the
expectations that they converge to.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Array = np.ndarray
APART = 2.0  # the true components lie at -2 and 2, with standard deviation 1 and equal weights


@dataclass(frozen=True)
class Mixture:
    """One-dimensional Gaussians with weights; arrays of shape (components,)."""

    weights: Array
    means: Array
    deviations: Array

    def density(self, x: Array) -> Array:
        """At points of any shape."""
        z = (np.asarray(x)[..., None] - self.means) / self.deviations
        each = self.weights / self.deviations * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        return each.sum(-1)

    def draw(self, number: int, random: Generator) -> Array:
        """A sample, (number,)."""
        which = random.choice(len(self.weights), number, p=self.weights)
        return self.means[which] + self.deviations[which] * random.standard_normal(number)

    def mean(self) -> float:
        """Of the whole."""
        return float(self.weights @ self.means)

    def variance(self) -> float:
        """Of the whole: within the components and between them."""
        second = self.weights @ (np.square(self.deviations) + np.square(self.means))
        return float(second - self.mean() ** 2)


TRUTH = Mixture(np.array([0.5, 0.5]), np.array([-APART, APART]), np.ones(2))


def one_gaussian(source: Mixture) -> Mixture:
    """Expressivity alone: the best single Gaussian for infinitely many draws.

    Maximum likelihood matches mean and variance, and a second round matches them again: the error
    is made once.
    """
    return Mixture(np.ones(1), np.array([source.mean()]), np.array([source.variance() ** 0.5]))


def fitted(source: Mixture, draws: int, random: Generator) -> Mixture:
    """Statistics alone: two components fitted by expectation maximisation to finitely many draws.

    EM is run to its end from the source itself, which is the best start that there is.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        n_components=len(source.weights), tol=1e-6, max_iter=2000, reg_covar=1e-12,
        weights_init=source.weights, means_init=source.means[:, None],
        precisions_init=(1 / np.square(source.deviations))[:, None, None],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(source.draw(draws, random)[:, None])
    return Mixture(model.weights_, model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0]))


def sharpened(source: Mixture, temperature: float) -> Mixture:
    """Approximation alone: a learner with infinitely many draws that prefers what is likely.

    Each component is narrowed as if it were drawn from at a temperature below one, N(m, T s^2), and
    the weights are raised to the power 1/T: a bias of the procedure, not of the sample.
    """
    weights = source.weights ** (1 / temperature)
    deviations = source.deviations * temperature**0.5
    return Mixture(weights / weights.sum(), source.means, deviations)


def difference(one: Mixture, two: Mixture) -> float:
    """Integral of (p - q)^2, in closed form; the paper's notebook measures mixtures like this.

    The product of two Gaussian densities integrates to a Gaussian density of their distance.
    """

    def product(a: Mixture, b: Mixture) -> float:
        variance = np.square(a.deviations)[:, None] + np.square(b.deviations)[None, :]
        gap = a.means[:, None] - b.means[None, :]
        overlap = np.exp(-gap * gap / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        return float(a.weights @ overlap @ b.weights)

    return product(one, one) - 2 * product(one, two) + product(two, two)
