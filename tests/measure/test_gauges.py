"""The gauges: each against a count by hand or a library, and their intervals by simulation."""

import collections
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from collapse.measure import gauges, metrics
from collapse.measure.facts import GROUPS, Facts

WIDTH = 250
HISTORY = [
    {"epoch": 1, "train_nll": 4.0, "valid_nll": 3.5},
    {"epoch": 2, "train_nll": 3.0, "valid_nll": 3.25},
    {"epoch": 3, "train_nll": 2.0, "valid_nll": 3.75},
]


def text(seed: int, blocks: int = 30, length: int = 16, width: int = WIDTH) -> np.ndarray:
    """Independent tokens, the lower numbers more often, uint16, (blocks, length)."""
    shares = 1 / np.arange(1, width + 1)
    drawn = np.random.default_rng(seed).choice(width, (blocks, length), p=shares / shares.sum())
    return drawn.astype(np.uint16)


def held_out(seed: int = 99) -> np.ndarray:
    return np.bincount(text(seed).ravel(), minlength=WIDTH)


def facts(seed: int = 0, blocks: int = 30, selection: str = "best") -> Facts:
    """Facts of a generation with losses and entropies between 2 and 3 nats."""
    random = np.random.default_rng(seed)
    nats = ("test_nll", "test_entropy", "own_nll", "own_entropy", "reference_nll", "text_nll")
    arrays = {name: 2 + random.random(blocks) for name in (*nats, "reference_entropy")}
    arrays["test_nll_writable"] = 20 + random.random(blocks)
    arrays["test_writable"] = np.full(blocks, 10)
    arrays["test_bytes"] = random.integers(20, 40, blocks)
    arrays |= {"text": text(seed, blocks), "held_out_counts": held_out()}
    return Facts(arrays, {"blocks": 8, "human_blocks": 2, "history": HISTORY}, selection)


def test_every_gauge_has_a_value_and_an_interval_if_it_says_so() -> None:
    found = gauges.measure(facts(), gauges.GAUGES)
    assert ["generation", *found] == list(gauges.COLUMNS)
    for name, gauge in gauges.GAUGES.items():
        if gauge.interval == gauges.NONE:
            assert math.isfinite(found[name]) or name == "zipf_exponent"  # has too few tokens
        else:
            assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
            assert found[f"{name}_se"] > 0


def test_columns_say_what_they_hold() -> None:
    assert all(words and not words.endswith(".") for words in gauges.COLUMNS.values())
    assert set(gauges.TEXT) <= set(gauges.of_text(text(0), held_out()))


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


def test_the_gauges_of_training_and_predictions_are_those_of_their_formulas() -> None:
    of = facts(2)
    found = gauges.measure(of, gauges.GAUGES)
    for column, array in (("predictive", "test"), ("own_text", "own"), ("reference", "reference")):
        bits = of[f"{array}_entropy"].mean() / math.log(2)
        assert found[f"{column}_entropy"] == pytest.approx(bits)
    gap = (of["test_nll"] - of["test_entropy"]).mean() / math.log(2)
    assert found["overconfidence"] == pytest.approx(gap)
    assert found["own_text_perplexity"] == pytest.approx(math.exp(of["own_nll"].mean()))
    assert found["test_perplexity"] == pytest.approx(math.exp(of["test_nll"].mean()))
    no_eos = math.exp(of["test_nll_writable"].sum() / 300)
    assert found["test_perplexity_no_eos"] == pytest.approx(no_eos)
    bits = of["test_nll"].sum() * 15 / math.log(2)  # of a block of 16, fifteen are predicted
    assert found["bits_per_byte"] == pytest.approx(bits / of["test_bytes"].sum())
    assert found["text_perplexity_median"] == pytest.approx(math.exp(np.median(of["text_nll"])))
    assert found["human_share"] == 0.25
    assert (found["best_epoch"], found["valid_perplexity"]) == (2, pytest.approx(math.exp(3.25)))
    last = gauges.measure(facts(2, selection="last"), gauges.FIT)
    assert (last["best_epoch"], last["valid_perplexity"]) == (3, pytest.approx(math.exp(3.75)))


def test_the_interval_of_a_mean_is_students_and_that_of_a_perplexity_is_of_its_logarithm() -> None:
    of = facts(3)
    found = gauges.measure(of, gauges.GAUGES)
    bits = of["test_entropy"] / math.log(2)
    ends = stats.t.interval(0.95, 29, loc=bits.mean(), scale=stats.sem(bits))
    assert (found["predictive_entropy_low"], found["predictive_entropy_high"]) == pytest.approx(
        ends
    )
    assert found["predictive_entropy_se"] == pytest.approx(stats.sem(bits))
    ends = stats.t.interval(0.95, 29, loc=of["test_nll"].mean(), scale=stats.sem(of["test_nll"]))
    told = (found["test_perplexity_low"], found["test_perplexity_high"])
    assert told == pytest.approx(tuple(np.exp(ends)))
    assert found["test_perplexity_se"] == pytest.approx(stats.sem(of["test_nll"]))


def test_the_interval_of_the_jackknife_has_a_degree_of_freedom_less_than_groups() -> None:
    found = gauges.of_text(text(4, blocks=200), held_out())
    half = found["tail_share_high"] - found["tail_share"]
    assert half == pytest.approx(stats.t.ppf(0.975, GROUPS - 1) * found["tail_share_se"])


@pytest.mark.parametrize(("blocks", "length", "width"), [(120, 32, 250), (100, 64, 3000)])
def test_standard_errors_of_a_text_s_gauges_are_as_large_as_texts_differ(
    blocks: int, length: int, width: int
) -> None:
    # Human text of another law: of the same one a divergence is nothing but noise, as no
    # generation's is.
    random, shares = np.random.default_rng(99), np.arange(1, width + 1) ** -0.7
    human = random.multinomial(blocks * length, shares / shares.sum())
    counted = {
        name: gauge
        for name, gauge in gauges.TEXT.items()
        if gauge.interval != gauges.NONE
    }  # fmt: skip
    found = [
        gauges.measure(
            Facts({"text": text(seed, blocks, length, width), "held_out_counts": human}), counted
        )
        for seed in range(1000, 1100)
    ]
    for name in counted:
        spread = np.std([one[name] for one in found], ddof=1)
        error = math.sqrt(np.mean([one[f"{name}_se"] ** 2 for one in found]))
        # A standard deviation of 100 values has a relative error of 0.07, the mean error of 0.02.
        assert 0.75 < error / spread < 1.25, (name, error / spread)


def test_what_cannot_be_measured_is_no_number() -> None:
    short = gauges.of_text(text(0, length=2), held_out())
    assert math.isnan(short["trigram_entropy"]) and not math.isnan(short["bigram_entropy"])
    assert math.isnan(short["trigram_entropy_se"])
    single = gauges.of_text(text(0, blocks=1), held_out())
    assert math.isnan(single["self_bleu"]) and math.isnan(single["unigram_entropy_low"])
    assert single["unigram_entropy"] > 0 and math.isnan(single["distinct_tokens_low"])
    dull = gauges.of_text(np.full((9, 16), 3, np.uint16), held_out())
    assert dull["unigram_entropy"] == dull["chao_shen"] == 0 and dull["distinct_tokens"] == 1
    assert math.isnan(dull["zipf_exponent"])
    assert dull["self_bleu"] == 1
    no_tail = gauges.of_text(text(0), np.array([100] + [0] * (WIDTH - 1)))
    assert math.isnan(no_tail["tail_coverage"])


def test_the_same_text_has_the_same_intervals() -> None:
    first, again = (gauges.of_text(text(5), held_out()) for _ in range(2))
    assert first == pytest.approx(again, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize(
    ("shape", "tokens"), [((5, 8), 4), ((9, 2), 3), ((6, 12), 300), ((2, 9), 1)]
)
def test_self_bleu_is_nltk_s(shape: tuple[int, int], tokens: int) -> None:
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    blocks = np.random.default_rng(0).integers(0, tokens, shape)
    rows, smooth = blocks.tolist(), bleu.SmoothingFunction().method1
    expected = [
        bleu.sentence_bleu(rows[:i] + rows[i + 1 :], row, smoothing_function=smooth)
        for i, row in enumerate(rows)
    ]
    assert metrics.self_bleu(blocks) == pytest.approx(expected)
