"""Words and the herd on the page: what is counted and drawn again in the chapter on tails."""

import json
import re

import numpy as np
import pytest

import why_tails_vanish_counts as counts
from collapse.laws import drift

# -- words -----------------------------------------------------------------------------------


@pytest.fixture
def drawn(corpus_file: object) -> counts.Vocabulary:
    return counts.vocabulary(str(corpus_file), 12, [0, 1])


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
    for name, number in (("once", 4000), ("2 to 3 times", 500)):
        some = rows[(rows["class"] == name) & (rows["generation"] == 8)].iloc[0]
        law = some["law"]
        assert abs(some["alive"] - law) < 5 * (law * (1 - law) / number) ** 0.5
    half = counts.half_lost(found)
    assert half["count"].tolist()[0] == 1
    assert abs(half["measured"] - half["law"]).max() <= 1


# -- the herd on the page --------------------------------------------------------------------


@pytest.mark.parametrize(("blue", "herds"), [(10, 12), (10, 30), (40, 12)])
def test_the_herds_offered_end_as_the_exact_law_says(blue: int, herds: int) -> None:
    drawn = counts.typical(blue, 100, 200, herds, 4)
    law = drift.counts_law(blue, 100, 200)
    for end, expected in ((0, law[-1, 0]), (100, law[-1, -1])):
        assert abs((drawn[-1] == end).mean() - expected) <= 1 / herds
    assert (drawn[0] == blue).all()


def test_the_first_herd_loses_its_blue_cats_about_when_half_of_all_have() -> None:
    first = counts.typical(10, 100, 200, 12, 4)[:, 0]
    lost = int(np.argmin(first > 0))
    assert first[-1] == 0
    assert drift.counts_law(10, 100, 200)[lost, 0] == pytest.approx(0.5, abs=0.06)


def test_the_herd_s_page_holds_what_the_law_says() -> None:
    shown = counts.play(10, 100, 30, 4, 0).data
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', shown)[1])
    law = drift.counts_law(10, 100, 30)
    assert data["none"] == pytest.approx(law[:, 0], abs=1e-4)
    assert [one[0] for one in data["herds"]] == [10] * 4
    assert all(len(one) == 31 and 0 <= min(one) <= max(one) <= 100 for one in data["herds"])
    assert shown.count("<circle") == 100 and shown.count('class="blue"') == 10
    assert "http" not in shown
