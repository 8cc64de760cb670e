"""The gauges: each against a count by hand or a library, and their intervals by simulation."""

import collections
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from collapse import gauges, glossary, metrics

WIDTH = 250
WITHOUT_INTERVAL = {"self_bleu", "zipf_exponent"}


def text(seed: int, blocks: int = 30, length: int = 16) -> np.ndarray:
    """Independent tokens, the lower numbers more often, int32, (blocks, length)."""
    shares = 1 / np.arange(1, WIDTH + 1)
    drawn = np.random.default_rng(seed).choice(WIDTH, (blocks, length), p=shares / shares.sum())
    return drawn.astype(np.int32)


def held_out(seed: int = 99) -> np.ndarray:
    return np.bincount(text(seed).ravel(), minlength=WIDTH)


def test_every_gauge_of_the_glossary_has_a_value_and_an_interval() -> None:
    random = np.random.default_rng(0)
    scores = [(random.random(9), random.random(9)) for _ in range(3)]
    found = gauges.of_predictions(*scores) | gauges.of_text(text(0), held_out())
    names = {f"{name}{end}" for name in glossary.ALL for end in ("", "_low", "_high")}
    assert set(found) == names
    for name in glossary.ALL:
        if name in WITHOUT_INTERVAL:
            assert math.isnan(found[f"{name}_low"]) and math.isnan(found[f"{name}_high"])
        else:
            assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_the_gauges_of_a_text_are_those_counted_by_hand() -> None:
    blocks, human = text(1), held_out()
    found = gauges.of_text(blocks, human)
    rows = blocks.tolist()
    runs = {n: [[tuple(row[i : i + n]) for i in range(17 - n)] for row in rows] for n in (1, 2, 3)}

    def entropy(these: list[list[tuple[int, ...]]]) -> float:
        counted = collections.Counter(itertools.chain(*these))
        return float(stats.entropy(list(counted.values()), base=2))

    tokens = collections.Counter(blocks.ravel().tolist())
    assert found["unigram_entropy"] == pytest.approx(entropy(runs[1]))
    for order, name in ((2, "bigram_entropy"), (3, "trigram_entropy")):
        before = [row[:-1] for row in runs[order - 1]]
        assert found[name] == pytest.approx(entropy(runs[order]) - entropy(before))
    assert found["distinct_tokens"] == len(tokens)
    pooled = len({*itertools.chain(*runs[2])}) / sum(map(len, runs[2]))
    assert found["distinct_2_pooled"] == pytest.approx(pooled)
    each = np.mean([len(set(row)) / len(row) for row in runs[2]])
    assert found["distinct_2_each"] == pytest.approx(each)
    assert found["moving_type_token_ratio"] == pytest.approx(
        np.mean([len(set(row)) / 16 for row in rows])  # the window is no longer than a block
    )
    rare, mass = [], 0
    for token in sorted(range(WIDTH), key=lambda token: human[token]):
        if human[token] and mass + human[token] <= human.sum() / 10:
            mass += human[token]
            rare.append(token)
    assert found["tail_coverage"] == pytest.approx(np.mean([tokens[t] > 0 for t in rare]))
    assert found["tail_share"] == pytest.approx(sum(tokens[t] for t in rare) / blocks.size)
    p, q = np.array([tokens[t] for t in range(WIDTH)]) / blocks.size, human / human.sum()
    middle = (p + q) / 2
    divergence = (stats.entropy(p, middle, base=2) + stats.entropy(q, middle, base=2)) / 2
    assert found["divergence"] == pytest.approx(divergence)


def test_the_gauges_of_predictions_are_means_in_bits() -> None:
    random = np.random.default_rng(2)
    human, own, frozen = ((random.random(50), random.random(50)) for _ in range(3))
    found = gauges.of_predictions(human, own, frozen)
    assert found["predictive_entropy"] == pytest.approx(human[1].mean() / math.log(2))
    assert found["own_text_entropy"] == pytest.approx(own[1].mean() / math.log(2))
    assert found["reference_entropy"] == pytest.approx(frozen[1].mean() / math.log(2))
    assert found["overconfidence"] == pytest.approx((human[0] - human[1]).mean() / math.log(2))
    assert found["own_text_perplexity"] == pytest.approx(math.exp(own[0].mean()))


def test_the_interval_of_a_mean_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(4, 1, 400)
    found = gauges.of_predictions(*[(values, values)] * 3)
    exact = 2 * 1.96 * values.std() / math.sqrt(400) / math.log(2)
    width = found["predictive_entropy_high"] - found["predictive_entropy_low"]
    # The standard deviation of 100 draws has a relative error of 1 / sqrt(2 * 99) = 0.07.
    assert width == pytest.approx(exact, rel=0.28)


def test_intervals_of_a_text_s_gauges_are_as_wide_as_texts_differ_or_wider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "self_bleu", lambda blocks: np.zeros(len(blocks)))  # for speed
    human, cases = np.bincount(text(99, 120, 32).ravel(), minlength=WIDTH), 80
    found = [gauges.of_text(text(1000 + case, 120, 32), human) for case in range(cases)]
    for name in set(glossary.TEXT) - WITHOUT_INTERVAL:
        spread = np.std([one[name] for one in found], ddof=1)
        half = np.mean([one[f"{name}_high"] - one[name] for one in found]) / gauges.Z
        # A standard deviation of 80 values has a relative error of 0.08. Counts of types and of
        # n-grams come out too wide, as the module says: draws with replacement repeat blocks.
        assert 0.75 < half / spread < 3, name
        if name in ("moving_type_token_ratio", "distinct_2_each", "tail_share"):
            assert half / spread < 1.35, name


def test_what_cannot_be_measured_is_no_number() -> None:
    short = gauges.of_text(text(0, length=2), held_out())
    assert math.isnan(short["trigram_entropy"]) and not math.isnan(short["bigram_entropy"])
    single = gauges.of_text(text(0, blocks=1), held_out())
    assert math.isnan(single["self_bleu"]) and math.isnan(single["unigram_entropy_low"])
    assert single["unigram_entropy"] > 0
    dull = gauges.of_text(np.full((9, 16), 3, np.int32), held_out())
    assert dull["unigram_entropy"] == dull["chao_shen"] == 0 and dull["distinct_tokens"] == 1
    assert math.isnan(dull["zipf_exponent"])
    assert dull["self_bleu"] == 1


def test_the_same_text_has_the_same_intervals() -> None:
    first, again = (gauges.of_text(text(5), held_out()) for _ in range(2))
    assert first == pytest.approx(again, rel=0, abs=0, nan_ok=True)


def test_the_glossary_becomes_a_table_with_a_row_for_each_gauge() -> None:
    lines = glossary.table().splitlines()
    assert len(lines) == 2 + len(glossary.ALL)
    assert all(line.count("|") == 5 for line in lines)  # no formula breaks the table
