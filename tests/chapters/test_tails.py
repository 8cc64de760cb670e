"""Mixtures, digits, words and the herd on the page: what the chapter on vanishing tails shows."""

import json
import re

import numpy as np
import pytest
import torch
import why_tails_vanish_herd as herd
import why_tails_vanish_words as words
from scipy import integrate, stats

from collapse.laws import autoencoder, blob, drift, gaussian_mixture
from collapse.laws.gaussian_mixture import TRUTH, Mixture

# -- mixtures --------------------------------------------------------------------------------

LOPSIDED = Mixture(np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.5]))


def test_moments_and_differences_are_those_of_the_densities() -> None:
    def moment(power: int) -> float:
        return integrate.quad(lambda x: x**power * float(LOPSIDED.density(x)), -20, 20)[0]

    assert LOPSIDED.mean() == pytest.approx(moment(1))
    assert LOPSIDED.variance() == pytest.approx(moment(2) - moment(1) ** 2)
    expected, _ = integrate.quad(
        lambda x: float(LOPSIDED.density(x) - TRUTH.density(x)) ** 2, -20, 20
    )
    assert gaussian_mixture.difference(LOPSIDED, TRUTH) == pytest.approx(expected)
    assert gaussian_mixture.difference(TRUTH, TRUTH) == pytest.approx(0.0, abs=1e-15)


def test_draws_have_the_moments_of_their_mixture() -> None:
    drawn = LOPSIDED.draw(10**6, np.random.default_rng(0))
    assert abs(drawn.mean() - LOPSIDED.mean()) < 5 * (LOPSIDED.variance() / 10**6) ** 0.5
    assert drawn.var() == pytest.approx(LOPSIDED.variance(), rel=0.01)


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


# -- digits ----------------------------------------------------------------------------------


def test_the_digits_are_pictures_from_0_to_1() -> None:
    pictures = autoencoder.load()
    assert pictures.shape == (1797, 64)
    assert float(pictures.min()) == 0.0 and float(pictures.max()) == 1.0


def test_an_autoencoder_learns_the_digits_and_draws_pictures() -> None:
    random = torch.Generator().manual_seed(0)
    pictures = autoencoder.load()
    untrained, trained = (autoencoder.train(pictures, steps, random) for steps in (0, 400))

    def error(model: autoencoder.Autoencoder) -> float:
        with torch.no_grad():
            again = torch.sigmoid(model.decoder(model.latents(pictures)))
        return float((again - pictures).square().mean())

    assert error(trained) < 0.5 * error(untrained)
    assert error(trained) < float(pictures.var(0).mean())  # better than the mean picture
    drawn = trained.draw(5, random).detach()
    assert drawn.shape == (5, 64) and 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_a_chain_is_the_same_for_a_seed_and_another_for_another() -> None:
    one, two, other = (autoencoder.chain(2, 30, seed) for seed in (1, 1, 2))
    assert one[0] == two[0] != other[0]
    assert one[1][0].shape == (10, 8, 8) and len(one[0]) == len(one[1]) == 2


# -- words -----------------------------------------------------------------------------------


@pytest.fixture
def drawn(corpus_file: object) -> words.Vocabulary:
    return words.vocabulary(str(corpus_file), 12, [0, 1])


def test_resampled_words_keep_the_length_of_the_text(
    drawn: words.Vocabulary,
) -> None:
    assert drawn.chains.shape == (2, 13, len(drawn.words))
    assert np.all(drawn.chains.sum(-1) == drawn.draws)
    assert np.array_equal(drawn.chains[0, 0], drawn.counts)
    assert np.all(np.diff(drawn.counts) <= 0)
    assert not np.array_equal(drawn.chains[0, 1], drawn.chains[1, 1])


def test_words_die_by_the_branching_law() -> None:
    # 4,000 words that occur once and 500 that occur three times, among many others.
    counts = np.array([200_000] + [3] * 500 + [1] * 4000)
    draws = int(counts.sum())
    chain = drift.resample(counts / draws, draws, 8, np.random.default_rng(0))
    found = words.Vocabulary(np.arange(len(counts)), counts, np.rint(chain * draws)[None])
    rows = words.alive(found)
    for name, number in (("once", 4000), ("2 to 3 times", 500)):
        some = rows[(rows["class"] == name) & (rows["generation"] == 8)].iloc[0]
        law = some["law"]
        assert abs(some["alive"] - law) < 5 * (law * (1 - law) / number) ** 0.5
    half = words.half_lost(found)
    assert half["count"].tolist()[0] == 1
    assert abs(half["measured"] - half["law"]).max() <= 1


# -- the herd on the page --------------------------------------------------------------------


@pytest.mark.parametrize(("blue", "herds"), [(10, 12), (10, 30), (40, 12)])
def test_the_herds_offered_end_as_the_exact_law_says(blue: int, herds: int) -> None:
    counts = herd.typical(blue, 100, 200, herds, 4)
    law = drift.counts_law(blue, 100, 200)
    for end, expected in ((0, law[-1, 0]), (100, law[-1, -1])):
        assert abs((counts[-1] == end).mean() - expected) <= 1 / herds
    assert (counts[0] == blue).all()


def test_the_first_herd_loses_its_blue_cats_about_when_half_of_all_have() -> None:
    first = herd.typical(10, 100, 200, 12, 4)[:, 0]
    lost = int(np.argmin(first > 0))
    assert first[-1] == 0
    assert drift.counts_law(10, 100, 200)[lost, 0] == pytest.approx(0.5, abs=0.06)


def test_the_herd_s_page_holds_what_the_law_says() -> None:
    shown = herd.play(10, 100, 30, 4, 0).data
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', shown)[1])
    law = drift.counts_law(10, 100, 30)
    assert data["none"] == pytest.approx(law[:, 0], abs=1e-4)
    assert [counts[0] for counts in data["herds"]] == [10] * 4
    assert all(len(counts) == 31 and 0 <= min(counts) <= max(counts) <= 100
               for counts in data["herds"])  # fmt: skip
    assert shown.count("<circle") == 100 and shown.count('class="blue"') == 10
    assert "http" not in shown


# -- the notebook's blob ---------------------------------------------------------------------


def test_the_difference_of_blobs_is_the_integral() -> None:
    one = blob.Blob(
        np.array([0.4, 0.6]), np.array([[0.0, 0.0], [1.0, -1.0]]),
        np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.5, 0.0], [0.0, 1.5]]]),
    )  # fmt: skip
    two = blob.Blob(np.array([0.5, 0.5]), np.zeros((2, 2)), np.stack([np.eye(2), 2 * np.eye(2)]))
    axis = np.linspace(-9, 9, 361)
    grid = np.stack(np.meshgrid(axis, axis), -1)

    def density(some: blob.Blob) -> np.ndarray:
        parts = zip(some.weights, some.means, some.covariances, strict=True)
        return sum(w * stats.multivariate_normal(m, s).pdf(grid) for w, m, s in parts)

    expected = np.square(density(one) - density(two)).sum() * (axis[1] - axis[0]) ** 2
    assert blob.difference(one, two) == pytest.approx(expected, rel=1e-6)


def test_a_blob_is_drawn_with_its_moments() -> None:
    covariance = np.array([[1.0, 0.6], [0.6, 0.9]])
    one = blob.Blob(
        np.array([1.0, 0.0]), np.array([[1.0, 2.0], [0, 0]]), np.stack([covariance] * 2)
    )
    drawn = one.draw(400_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), [1.0, 2.0], atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.01)
    assert one.deviations[0] == pytest.approx((0.95) ** 0.5)


def test_a_blob_of_few_draws_shrinks_and_one_of_many_hardly() -> None:
    few, many = blob.chain(40, 60, 0), blob.chain(4000, 5, 0)
    assert few[-1].deviations.max() < 0.5 * few[0].deviations.max()
    assert many[0].deviations == pytest.approx([0.9, 0.9], abs=0.25)
    whole = many[-1].draw(100_000, np.random.default_rng(0)).std(0)
    np.testing.assert_allclose(whole, 1.0, atol=0.1)
