"""The chapter on vanishing tails: its figures, its numbers, and what its page plays with."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import why_tails_vanish as tails
import why_tails_vanish_counts as counts
import why_tails_vanish_paper as paper
import why_tails_vanish_play as play
from collapse.laws import drift
from collapse.measure.per_seed import over_seeds
from toy_figures import assert_readable

# -- words -----------------------------------------------------------------------------------


@pytest.fixture
def drawn(corpus_file: object) -> counts.Vocabulary:
    return counts.vocabulary(str(corpus_file), 12, [0, 1])


def zipf() -> counts.Vocabulary:
    """A text of 8,000 different words, drawn a hundred times with two seeds."""
    written = np.maximum(6000 // np.arange(1, 8001), 1)
    draws = int(written.sum())
    chains = [
        np.rint(drift.resample(written / draws, draws, 100, np.random.default_rng(seed)) * draws)
        for seed in (0, 1)
    ]
    words = np.array(["".join(chr(97 + int(digit)) for digit in f"{k:04}") for k in range(8000)])
    return counts.Vocabulary(words, written, np.stack(chains).astype(int))


def test_resampled_words_keep_the_length_of_the_text(
    drawn: counts.Vocabulary,
) -> None:
    assert drawn.chains.shape == (2, 13, len(drawn.words))
    assert np.all(drawn.chains.sum(-1) == drawn.draws)
    assert np.array_equal(drawn.chains[0, 0], drawn.counts)
    assert np.all(np.diff(drawn.counts) <= 0)
    assert not np.array_equal(drawn.chains[0, 1], drawn.chains[1, 1])


def test_words_die_by_the_branching_law() -> None:
    # 4,000 words that occur once and 500 that occur three times, among many others.
    written = np.array([200_000] + [3] * 500 + [1] * 4000)
    draws = int(written.sum())
    chain = drift.resample(written / draws, draws, 8, np.random.default_rng(0))
    found = counts.Vocabulary(np.arange(len(written)), written, np.rint(chain * draws)[None])
    rows = counts.alive(found)
    for name, number in (("once", 4000), ("2–3 times", 500)):
        some = rows[(rows["class"] == name) & (rows["generation"] == 8)].iloc[0]
        law = some["law"]
        assert abs(some["alive"] - law) < 5 * (law * (1 - law) / number) ** 0.5
    half = counts.half_lost(found)
    assert half["count"].tolist()[0] == 1
    assert abs(half["measured"] - half["law"]).max() <= 1


def test_the_words_that_went_first_occur_once_and_are_gone() -> None:
    found = zipf()
    places = [found.words.tolist().index(word) for word in counts.went_first(found)]
    assert len(set(places)) == 5
    assert (found.counts[places] == 1).all() and (found.chains[0, 1, places] == 0).all()


def test_shares_are_told_with_their_interval_over_seeds() -> None:
    found = zipf()
    told = counts.words_numbers(found, [0, 1], "a toy")["gone-10"]
    mean, low, high = map(float, re.fullmatch(r"(.*) % \[(.*), (.*)\]", str(told)).groups())
    shares = 100 * (found.chains[:, 10] == 0).mean(1)
    half = 12.706 * shares.std(ddof=1) / 2**0.5  # Student's t, one degree of freedom
    assert (mean, low, high) == pytest.approx(
        (shares.mean(), shares.mean() - half, shares.mean() + half), abs=0.06
    )
    alone = counts.Vocabulary(found.words, found.counts, found.chains[:1])
    assert "[" not in str(counts.words_numbers(alone, [0], "a toy")["gone-10"])


# -- figures ---------------------------------------------------------------------------------


def test_figures_of_what_is_counted_can_be_read() -> None:
    found = zipf()
    for maker in (
        lambda: counts.cats_figure(10, 100, 200, 2000, 0),
        lambda: counts.words_figure(found),
        lambda: counts.loss_figure(found),
    ):
        assert_readable(maker)


def test_figures_of_gaussians_and_digits_can_be_read() -> None:
    chains = tails.gaussian_chains(100, 200, 500, 0)
    errors = tails.errors(1000, 150, 0.9, 0)
    pictures = [np.random.default_rng(0).random((10, 8, 8))] * 5
    for maker in (
        lambda: tails.gaussian_figure(chains),
        lambda: tails.tail_figure(chains),
        lambda: tails.errors_figure(errors, (0, 1, 20, 150)),
        lambda: tails.selection_figure(10, 500, 0),
        lambda: tails.keeping_figure(100, 1000, 100, 0.1, 0),
        lambda: paper.digits_figure([([0.6, 0.5, 0.45, 0.4, 0.4], pictures)] * 3, [0, 1, 2]),
    ):
        assert_readable(maker)


def test_figures_of_few_words_and_few_herds_are_drawn(drawn: counts.Vocabulary) -> None:
    found = counts.Vocabulary(drawn.words, drawn.counts, np.repeat(drawn.chains, 10, 1)[:, :101])
    for maker in (counts.words_figure, counts.loss_figure):
        assert len(maker(found)[1])
    assert len(counts.cats_figure(1, 2, 5, 3, 0)[1])


def test_the_tail_s_figure_shows_less_of_the_tail_than_of_the_spread() -> None:
    _, data = tails.tail_figure(tails.gaussian_chains(100, 100, 2000, 0))
    later = data[data["generation"] > 20]
    assert (later["tail_beyond_3"] < later["median_deviation"]).all()


def test_choosing_leaves_what_the_law_says() -> None:
    _, data = tails.selection_figure(10, 20_000, 0)
    once = data[data["generation"] == 1].set_index("kept")
    assert once["measured"].to_numpy() == pytest.approx(once["law"].to_numpy(), rel=0.05)
    assert once["law"][10] == pytest.approx(1)
    # Kept is half of very many: a Gaussian cut at its quartiles, whose variance has a closed form.
    assert drift.selected_variance(2000, 4000) == pytest.approx(0.1426, abs=0.002)


# -- statements ------------------------------------------------------------------------------


def verdicts_on(gaussians: object, errors: dict, digits: object) -> list[str]:
    return [one.verdict for one in paper.claims(10, 100, gaussians, errors, digits)]


def test_the_statements_are_judged_by_the_data_and_turn_with_them() -> None:
    gaussians = tails.gaussian_chains(100, 200, 2000, 0)
    errors = tails.errors(200, 5, 0.9, 0)
    shrinking = over_seeds({0: 0.77, 1: 0.78, 2: 0.76}, ratio=True)
    assert verdicts_on(gaussians, errors, shrinking) == ["agrees"] * 4 + ["same direction"]
    backwards = gaussians.assign(
        **{name: gaussians[name].to_numpy()[::-1] for name in ("median_variance", "distance")}
    )
    mixed_up = errors | {"one Gaussian for two": errors["a learner that sharpens"]}
    growing = over_seeds({0: 1.2, 1: 1.3, 2: 1.25}, ratio=True)
    assert verdicts_on(backwards, mixed_up, growing) == ["agrees"] + ["disagrees"] * 4
    assert "—" not in paper.statements(paper.claims(10, 100, gaussians, errors, growing)).data


# -- to play with ----------------------------------------------------------------------------


def test_the_laws_of_the_herds_are_those_of_simulated_ones() -> None:
    laws, number = play.without_blue(10, 100, 60, 20_000), 20_000
    random = np.random.default_rng(1)
    last = np.full(number, 10)
    for n in range(1, 61):
        last = random.binomial(90, last / 100) + random.binomial(10, 0.1, number)
        law = laws["fresh"][n]
        assert abs((last == 0).mean() - law) < 5 * (law / number) ** 0.5 + 1e-9
    # Redrawn from a tenth of nothing else, the fresh ones decide alone; without any it is drift.
    assert play.fresh_law(10, 100, 100, 3)[1:] == pytest.approx([0.9**100] * 3)
    assert play.fresh_law(10, 100, 0, 30) == pytest.approx(laws["replace"][:31])
    assert laws["keep"][1] == pytest.approx(0.9**100, abs=3e-4)


def test_all_cats_that_there_were_keep_their_mean_share() -> None:
    drawn = play.kept(10, 100, 50, 20_000, 0)
    assert drawn.shape == (51, 20_000) and (drawn[0] == 10).all()
    spread = drawn[-1].std() / len(drawn[-1]) ** 0.5
    assert abs(drawn[-1].mean() - 10) < 5 * spread


@given(st.integers(1, 400))
def test_half_of_the_words_are_gone_by_their_half_life(count: int) -> None:
    n = play.half_life(count)
    before, then = drift.lost_by(count, n)[n - 1 :]
    assert before < 0.5 <= then
    assert n == pytest.approx(2 * count / np.log(2), abs=4 + 0.02 * count)


def data_in(shown: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', shown)[1])


def test_the_herds_page_holds_what_the_laws_say() -> None:
    shown = play.herd(10, 100, 30, 1).data
    data = data_in(shown)
    law = drift.counts_law(10, 100, 30)[:, 0]
    assert data["laws"]["replace"]["values"] == pytest.approx(law, abs=1e-4)
    assert shown.count("<circle") == 100 and shown.count('class="blue"') == 10
    assert f"<td>{play.percent(law[-1])}</td>".replace("< ", "&lt; ") in shown
    assert "http" not in shown


def test_the_words_that_come_with_the_page_have_their_counts_and_are_light() -> None:
    found = zipf()
    shown = play.words(found).data
    data = data_in(shown)
    counted = dict(zip(found.words.tolist(), found.counts.tolist(), strict=True))
    known = {word: int(n) for n, some in data["counts"].items() for word in some.split(" ")}
    assert all(counted[word] == n for word, n in known.items())
    assert {w for w, n in counted.items() if n >= data["least"]} <= known.keys()
    assert 3000 <= len(known) and len(shown.encode()) < 60_000
    assert shown.count('<th scope="row">') == 6


def test_a_word_that_html_would_take_for_its_own_is_left_out() -> None:
    words = np.array(["the", "</script>", "<unk>", "@-@", "1999", "a&b", "isn't"])
    found = counts.Vocabulary(words, np.array([9, 8, 7, 6, 5, 4, 3]), np.zeros((1, 2, 7), int))
    known, least = play.shipped(found)
    assert (known, least) == ({9: ["the"], 3: ["isn't"]}, 3)
    assert play.words(found).data.count("</script>") == 1
