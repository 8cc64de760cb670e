"""Mixtures of Gaussians: moments, differences and fits against integrals and draws."""

import numpy as np
import pytest
from scipy import integrate, stats

from collapse.laws import gaussian_mixture
from collapse.laws.gaussian_mixture import TRUTH, Mixture

LOPSIDED = Mixture(
    np.array([0.3, 0.7]), np.array([[-1.0], [2.0]]), np.array([0.5, 1.5])[:, None, None]
)
PLANE = Mixture(
    np.array([0.4, 0.6]), np.array([[0.0, 0.0], [1.0, -1.0]]),
    np.linalg.cholesky(np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.5, 0.0], [0.0, 1.5]]])),
)  # fmt: skip


def test_moments_and_differences_are_those_of_the_densities() -> None:
    def moment(power: int) -> float:
        return integrate.quad(lambda x: x**power * float(LOPSIDED.density(x)), -20, 20)[0]

    assert LOPSIDED.mean()[0] == pytest.approx(moment(1))
    assert LOPSIDED.covariance()[0, 0] == pytest.approx(moment(2) - moment(1) ** 2)
    expected, _ = integrate.quad(
        lambda x: float(LOPSIDED.density(x) - TRUTH.density(x)) ** 2, -20, 20
    )
    assert gaussian_mixture.difference(LOPSIDED, TRUTH) == pytest.approx(expected)
    assert gaussian_mixture.difference(TRUTH, TRUTH) == pytest.approx(0.0, abs=1e-15)


def test_draws_have_the_moments_of_their_mixture() -> None:
    drawn = LOPSIDED.draw(10**6, np.random.default_rng(0))
    assert abs(drawn.mean() - LOPSIDED.mean()[0]) < 5 * (LOPSIDED.covariance()[0, 0] / 10**6) ** 0.5
    assert drawn.var() == pytest.approx(LOPSIDED.covariance()[0, 0], rel=0.01)


def test_what_cannot_be_represented_is_lost_once() -> None:
    first = gaussian_mixture.one_gaussian(LOPSIDED)
    second = gaussian_mixture.one_gaussian(first)
    assert gaussian_mixture.difference(first, LOPSIDED) > 0.01
    assert gaussian_mixture.difference(second, first) == pytest.approx(0.0, abs=1e-12)


def test_a_fit_to_very_many_draws_is_the_source() -> None:
    found = gaussian_mixture.fitted(TRUTH, 400_000, np.random.default_rng(0))
    np.testing.assert_allclose(found.means, TRUTH.means, atol=0.02)
    np.testing.assert_allclose(found.deviations, TRUTH.deviations, atol=0.02)


def test_sharpening_narrows_by_the_temperature() -> None:
    found = gaussian_mixture.sharpened(LOPSIDED, 0.81)
    np.testing.assert_allclose(found.deviations, 0.9 * LOPSIDED.deviations)
    assert found.weights[1] > LOPSIDED.weights[1] and found.weights.sum() == pytest.approx(1.0)
    same = gaussian_mixture.sharpened(LOPSIDED, 1.0)
    assert gaussian_mixture.difference(same, LOPSIDED) == pytest.approx(0.0, abs=1e-12)


def test_the_difference_in_the_plane_is_the_integral() -> None:
    two = Mixture(np.array([0.5, 0.5]), np.zeros((2, 2)), np.stack([np.eye(2), 2 * np.eye(2)]))
    axis = np.linspace(-9, 9, 361)
    grid = np.stack(np.meshgrid(axis, axis), -1)

    def density(some: Mixture) -> np.ndarray:
        parts = zip(some.weights, some.means, some.covariances, strict=True)
        return sum(w * stats.multivariate_normal(m, s).pdf(grid) for w, m, s in parts)

    expected = np.square(density(PLANE) - density(two)).sum() * (axis[1] - axis[0]) ** 2
    assert gaussian_mixture.difference(PLANE, two) == pytest.approx(expected, rel=1e-6)


def test_draws_in_the_plane_have_the_moments_of_their_mixture() -> None:
    drawn = PLANE.draw(400_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), PLANE.mean(), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), PLANE.covariance(), atol=0.02)
    assert PLANE.deviations.tolist() == pytest.approx([0.9**0.5, 1.0])
    one = gaussian_mixture.one_gaussian(PLANE)
    np.testing.assert_allclose(one.covariance(), PLANE.covariance())


def test_a_blob_of_few_draws_shrinks_and_one_of_many_hardly() -> None:
    few, many = gaussian_mixture.shared_blob(40, 60, 0), gaussian_mixture.shared_blob(4000, 5, 0)
    assert few[-1].deviations.max() < 0.5 * few[0].deviations.max()
    assert many[0].deviations == pytest.approx([0.9, 0.9], abs=0.25)
    whole = many[-1].draw(100_000, np.random.default_rng(0)).std(0)
    np.testing.assert_allclose(whole, 1.0, atol=0.1)
