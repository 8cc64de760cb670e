"""The gauges of collapse: what is read off a generation's facts. One entry a gauge, only here.

A gauge is computed from the facts of one generation (`Facts`), so it can be added later without
running anything again: give it an entry here. Each has a 95 % interval, and a standard error, for
what the choice of blocks does to it, of one of these kinds:

- `MEAN`: a mean over blocks, with Student's interval, in closed form; `LOG`: the same of a
  logarithm, and then its exponential, for perplexities.
- `JACKKNIFE`: what is read off the counts of kinds. The text is cut into `facts.GROUPS` groups of
  neighbouring blocks, and each is left out in turn (Efron and Tibshirani 1994, chapter 11);
  Student's t has one degree of freedom less than groups. Neighbours share a subject, so what they
  share stays in a group. Blocks drawn with replacement would repeat n-grams and make these
  intervals too wide, each by a factor of its own; a text that lacks a group repeats nothing.
- `KINDS`: how many kinds occur, in closed form (`metrics.kinds_error`); `COVERAGE`: the share of
  them that occur.
- `NONE`: none, as for self-BLEU, whose blocks share their references.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collapse.measure import metrics
from collapse.measure.facts import Facts

MEAN, LOG, JACKKNIFE, NONE = "mean", "mean of logarithms", "jackknife", "none"
KINDS, COVERAGE = "number of kinds", "share of kinds"
WINDOW = 50  # tokens, of the moving type-token ratio


@dataclass(frozen=True)
class Gauge:
    """One gauge.

    of: what it is of some facts: with `MEAN` and `LOG` a value a block, whose mean is meant; with
        `JACKKNIFE` its value, and then that without each group; with `KINDS` or `COVERAGE` the
        number of blocks in which each kind occurs; with `NONE` its value.
    """

    label: str
    unit: str  # empty where there is none
    formula: str  # TeX
    source: str  # key in references.bib; empty where it is common knowledge
    warning: str  # what it must not be compared with
    interval: str  # of which kind
    of: Callable[[Facts], Any]


def _bits(nats: np.ndarray) -> np.ndarray:
    return nats / math.log(2)


_WRITABLE = "perplexity with those tokens; a model that may write them"
FIT = {
    "human_share": Gauge(
        "share of its training blocks that a human wrote", "", r"b_\text{human}/b", "",
        "the share retained, where blocks are added",
        NONE, lambda f: f.training["human_blocks"] / f.training["blocks"],
    ),
    "best_epoch": Gauge(
        "epoch whose checkpoint was selected", "", r"\arg\min_e \text{loss}_e", "",
        "epochs of another number of steps", NONE, lambda f: f.selected["epoch"],
    ),
    "valid_perplexity": Gauge(
        "perplexity of the selected checkpoint on human validation blocks", "",
        r"\exp(\min_e \text{loss}_e)", "",
        "perplexity on test blocks: the checkpoint was selected by it",
        NONE, lambda f: math.exp(f.selected["valid_nll"]),
    ),
    "test_perplexity": Gauge(
        "perplexity on human test blocks", "",
        r"\exp(-\tfrac1T\sum_t \ln p_\theta(x_t\mid x_{<t}))",
        "", "values of another tokeniser", LOG, lambda f: f["test_nll"],
    ),
    "test_perplexity_no_eos": Gauge(
        "the same without the tokens that generations may not write", "",
        r"\text{the same, } t \text{ writable}", "", _WRITABLE,
        NONE, lambda f: math.exp(f["test_nll_writable"].sum() / f["test_writable"].sum()),
    ),
    "bits_per_byte": Gauge(
        "bits a byte of human test blocks", "bits",
        r"-\sum_t \log_2 p_\theta(x_t\mid x_{<t})/\text{bytes}",
        "", "values of a tokeniser with more special tokens, which stand for no byte",
        NONE,
        lambda f: _bits(f["test_nll"].sum() * (f["text"].shape[1] - 1)) / f["test_bytes"].sum(),
    ),
    "text_perplexity_median": Gauge(
        "median over blocks of its text's perplexity under generation 0", "",
        r"\text{median}_b \exp(\text{loss of } b)", "", "a mean; another run's generation 0",
        NONE, lambda f: math.exp(np.median(f["text_nll"])),
    ),
}  # fmt: skip
PREDICTIONS = {
    "predictive_entropy": Gauge(
        "entropy of predictions on human text", "bits",
        r"\frac1T\sum_t H(p_\theta(\cdot\mid x_{<t}))",
        "", "the same on other text, or with another tokeniser",
        MEAN, lambda f: _bits(f["test_entropy"]),
    ),
    "own_text_entropy": Gauge(
        "entropy of predictions on its own text", "bits", r"\text{the same, } x \sim p_\theta",
        "", "the same on human text: decoding that cuts off tails makes the context easier",
        MEAN, lambda f: _bits(f["own_entropy"]),
    ),
    "reference_entropy": Gauge(
        "entropy of predictions on generation 0's text", "bits",
        r"\text{the same, } x \text{ frozen}",
        "", "the same on human text, or on another run's generation 0",
        MEAN, lambda f: _bits(f["reference_entropy"]),
    ),
    "overconfidence": Gauge(
        "cross-entropy less entropy, on human text", "bits",
        r"-\frac1T\sum_t \log_2 p_\theta(x_t\mid x_{<t}) - \text{entropy}",
        "", "values of another tokeniser; 0 is calibrated on average, not token by token",
        MEAN, lambda f: _bits(f["test_nll"]) - _bits(f["test_entropy"]),
    ),
    "own_text_perplexity": Gauge(
        "perplexity on its own text", "", r"\exp(-\tfrac1T\sum_t \ln p_\theta(x_t\mid x_{<t}))",
        "", "perplexity on human text: it falls while that rises",
        LOG, lambda f: f["own_nll"],
    ),
}  # fmt: skip
TEXT = {
    "unigram_entropy": Gauge(
        "unigram entropy, plug-in", "bits", r"-\sum_v \hat p_v\log_2\hat p_v",
        "", "a text of another length: biased low by about (K − 1) / (2 N ln 2)",
        JACKKNIFE, lambda f: map(metrics.unigram_entropy, f.counts(1)),
    ),
    "miller_madow": Gauge(
        "unigram entropy, Miller–Madow", "bits", r"\hat H + \frac{\hat K-1}{2N\ln 2}",
        "miller1955", "plug-in values; still low where most types are unseen",
        JACKKNIFE, lambda f: map(metrics.miller_madow, f.counts(1)),
    ),
    "chao_shen": Gauge(
        "unigram entropy, Chao–Shen", "bits",
        r"-\sum_v \frac{\tilde p_v\log_2\tilde p_v}{1-(1-\tilde p_v)^N}",
        "chaoshen2003", "plug-in values; can lie above the truth",
        JACKKNIFE, lambda f: map(metrics.chao_shen, f.counts(1)),
    ),
    "bigram_entropy": Gauge(
        "entropy of a token given one", "bits", r"\hat H_2-\hat H_1",
        "", "a text of another length: most pairs occur once",
        JACKKNIFE, lambda f: f.conditional_entropies(2),
    ),
    "trigram_entropy": Gauge(
        "entropy of a token given two", "bits", r"\hat H_3-\hat H_2",
        "", "a text of another length; it says more of the length than of the language",
        JACKKNIFE, lambda f: f.conditional_entropies(3),
    ),
    "distinct_tokens": Gauge(
        "distinct tokens in the text", "tokens", r"\#\{v: c_v>0\}",
        "", "a text of another length; divided by the length it is the type-token ratio",
        KINDS, lambda f: f.incidence,
    ),
    "moving_type_token_ratio": Gauge(
        "moving type-token ratio, 50 tokens", "", r"\overline{\hat K_{50}}/50",
        "covington2010", "another window",
        MEAN,
        lambda f: metrics.moving_type_token_ratios(f["text"], min(WINDOW, f["text"].shape[1])),
    ),
    "distinct_2_pooled": Gauge(
        "distinct-2, all blocks together", "", r"\#\text{bigrams}/N_2",
        "li2016", "distinct-2 block by block; another number of blocks",
        JACKKNIFE, lambda f: map(metrics.distinct_pooled, f.counts(2)),
    ),
    "distinct_2_each": Gauge(
        "distinct-2, block by block", "", r"\overline{\#\text{bigrams of a block}/n_2}",
        "li2016", "distinct-2 of all blocks together; another block length",
        MEAN, lambda f: metrics.distinct_each(f.grams(2)),
    ),
    "self_bleu": Gauge(
        "self-BLEU-4", "", r"\overline{\text{BLEU}(b\mid\text{all others})}",
        "zhu2018", "another number of blocks; it rises as diversity falls",
        NONE, lambda f: metrics.self_bleu(f.some_blocks).mean(),
    ),
    "zipf_exponent": Gauge(
        "Zipf exponent of the 200 most frequent", "", r"-\,\mathrm d\ln f/\mathrm d\ln r",
        "", "a fit over other ranks",
        NONE, lambda f: metrics.zipf_exponent(next(f.counts(1))),
    ),
    "tail_coverage": Gauge(
        "rare human tokens still written", "", r"\#\{v\in\text{tail}: c_v>0\}/\#\text{tail}",
        "", "a text of another length; human text of that length does not reach 1 either",
        COVERAGE, lambda f: f.incidence[f.rare],
    ),
    "tail_share": Gauge(
        "share of the text that is rare human tokens", "", r"\sum_{v\in\text{tail}}\hat p_v",
        "", "0.1 exactly: the tail was chosen on a sample, so other human text has more",
        JACKKNIFE, lambda f: (metrics.tail_share(c, f.rare) for c in f.counts(1)),
    ),
    "divergence": Gauge(
        "Jensen–Shannon divergence to human text", "bits", r"\text{JSD}(\hat p,\hat q)",
        "lin1991", "0: two human texts of this length differ too",
        JACKKNIFE, lambda f: (metrics.divergence(c, f["held_out_counts"]) for c in f.counts(1)),
    ),
}  # fmt: skip

GAUGES = FIT | PREDICTIONS | TEXT


def _columns() -> dict[str, str]:
    found = {"generation": "0 is trained on human text, n on text written by n-1"}
    for name, gauge in GAUGES.items():
        found[name] = f"{gauge.label}, {gauge.unit}" if gauge.unit else gauge.label
        if gauge.interval != NONE:
            of = f"the logarithm of {name}" if gauge.interval == LOG else name
            found[f"{name}_low"] = f"lower end of the 95 % interval of {name}"
            found[f"{name}_high"] = f"upper end of the 95 % interval of {name}"
            found[f"{name}_se"] = f"standard error of {of}"
    return found


COLUMNS = _columns()  # of the table of gauges: name -> what it holds


def measure(of: Facts, gauges: Mapping[str, Gauge]) -> dict[str, float]:
    """The columns of some gauges of one generation.

    A gauge is nan where blocks are too short or too few for it, and so are its ends.
    """
    found: dict[str, float] = {}
    for name, gauge in gauges.items():
        value = gauge.of(of)
        if gauge.interval == NONE:
            found[name] = float(value)
            continue
        values = np.array(list(value), np.float64)
        if gauge.interval == JACKKNIFE:
            middle, freedom = values[0], len(values) - 2
            sizes = np.array([len(rows) for rows in of.groups])
            error = metrics.jackknife_error(middle, values[1:], sizes)
        elif gauge.interval in (KINDS, COVERAGE):
            blocks, kinds = len(of["text"]), len(values) if gauge.interval == COVERAGE else 1
            middle = np.count_nonzero(values) / kinds if kinds else math.nan
            error, freedom = metrics.kinds_error(values, blocks) / max(kinds, 1), blocks - 1
        else:
            middle, freedom = values.mean(), len(values) - 1
            error = values.std(ddof=1) / math.sqrt(len(values)) if freedom else math.nan
        half = metrics.quantile(freedom) * error
        ends = np.array([middle, middle - half, middle + half])
        ends = np.exp(ends) if gauge.interval == LOG else ends
        columns = (name, f"{name}_low", f"{name}_high", f"{name}_se")
        found |= dict(zip(columns, map(float, [*ends, error]), strict=True))
    return found


def of_text(blocks: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    """The gauges of a text alone: of its blocks, and how often held-out text has each token."""
    return measure(Facts({"text": blocks, "held_out_counts": held_out}), TEXT)


def code() -> str:
    """SHA-256 of the code that makes a table of gauges."""
    files = [Path(__file__).with_name(f"{name}.py") for name in ("gauges", "facts", "metrics")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
