"""The gauges of collapse in words: what each is, its formula, its source, its limits.

They are computed in `gauges`, and are columns of a record.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gauge:
    """What a reader needs to know of a gauge; it is a column of a record's `generations.csv`."""

    label: str
    unit: str
    formula: str  # TeX
    source: str  # key in references.bib; empty where it is common knowledge
    warning: str  # what it must not be compared with


PREDICTIONS = {
    "predictive_entropy": Gauge(
        "entropy of predictions on human text", "bits",
        r"\frac1T\sum_t H\big(p_\theta(\cdot\mid x_{<t})\big)", "",
        "the same on other text, or with another tokeniser",
    ),
    "own_text_entropy": Gauge(
        "entropy of predictions on its own text", "bits", r"\text{the same, } x \sim p_\theta", "",
        "the same on human text: decoding that cuts off tails makes the context easier",
    ),
    "reference_entropy": Gauge(
        "entropy of predictions on generation 0's text", "bits",
        r"\text{the same, } x \text{ frozen}", "",
        "the same on human text, or on another run's generation 0",
    ),
    "overconfidence": Gauge(
        "cross-entropy less entropy, on human text", "bits",
        r"-\frac1T\sum_t \log_2 p_\theta(x_t\mid x_{<t}) - \text{entropy}", "",
        "values of another tokeniser; 0 is calibrated on average, not token by token",
    ),
    "own_text_perplexity": Gauge(
        "perplexity on its own text", "", r"\exp(-\tfrac1T\sum_t \ln p_\theta(x_t\mid x_{<t}))", "",
        "perplexity on human text: it falls while that rises",
    ),
}  # fmt: skip
TEXT = {
    "unigram_entropy": Gauge(
        "unigram entropy, plug-in", "bits", r"-\sum_v \hat p_v\log_2\hat p_v", "",
        "a text of another length: biased low by about (K − 1) / (2 N ln 2)",
    ),
    "miller_madow": Gauge(
        "unigram entropy, Miller–Madow", "bits", r"\hat H + \frac{\hat K-1}{2N\ln 2}", "miller1955",
        "plug-in values; still low where most types are unseen",
    ),
    "chao_shen": Gauge(
        "unigram entropy, Chao–Shen", "bits",
        r"-\sum_v \frac{\tilde p_v\log_2\tilde p_v}{1-(1-\tilde p_v)^N}", "chaoshen2003",
        "plug-in values; can lie above the truth",
    ),
    "bigram_entropy": Gauge(
        "entropy of a token given one", "bits", r"\hat H_2-\hat H_1", "",
        "a text of another length: most pairs occur once",
    ),
    "trigram_entropy": Gauge(
        "entropy of a token given two", "bits", r"\hat H_3-\hat H_2", "",
        "a text of another length; it says more of the length than of the language",
    ),
    "distinct_tokens": Gauge(
        "distinct tokens in the text", "tokens", r"\#\{v: c_v>0\}", "",
        "a text of another length; divided by the length it is the type-token ratio",
    ),
    "moving_type_token_ratio": Gauge(
        "moving type-token ratio, 50 tokens", "", r"\overline{\hat K_{50}}/50",
        "covington2010", "another window",
    ),
    "distinct_2_pooled": Gauge(
        "distinct-2, all blocks together", "", r"\#\text{bigrams}/N_2", "li2016",
        "distinct-2 block by block; another number of blocks",
    ),
    "distinct_2_each": Gauge(
        "distinct-2, block by block", "", r"\overline{\#\text{bigrams of a block}/n_2}", "li2016",
        "distinct-2 of all blocks together; another block length",
    ),
    "self_bleu": Gauge(
        "self-BLEU-4", "", r"\overline{\text{BLEU}(b\mid\text{all others})}",
        "zhu2018", "another number of blocks; it rises as diversity falls",
    ),
    "zipf_exponent": Gauge(
        "Zipf exponent of the 200 most frequent", "", r"-\,\mathrm d\ln f/\mathrm d\ln r", "",
        "a fit over other ranks",
    ),
    "tail_coverage": Gauge(
        "rare human tokens still written", "", r"\#\{v\in\text{tail}: c_v>0\}/\#\text{tail}", "",
        "a text of another length; human text of that length does not reach 1 either",
    ),
    "tail_share": Gauge(
        "share of the text that is rare human tokens", "", r"\sum_{v\in\text{tail}}\hat p_v", "",
        "0.1 exactly: the tail was chosen on a sample, so other human text has more",
    ),
    "divergence": Gauge(
        "Jensen–Shannon divergence to human text", "bits", r"\text{JSD}(\hat p,\hat q)",
        "lin1991", "0: two human texts of this length differ too",
    ),
}  # fmt: skip
ALL = PREDICTIONS | TEXT


def table() -> str:
    """The gauges for a reader, as a MyST table: formula, source, what not to compare with."""
    lines = ["| gauge | unit | formula | not to be compared with |", "|---|---|---|---|"]
    for gauge in ALL.values():
        cited = f" {{cite:p}}`{gauge.source}`" if gauge.source else ""
        lines.append(
            f"| {gauge.label}{cited} | {gauge.unit} | ${gauge.formula}$ | {gauge.warning} |"
        )
    return "\n".join(lines)
