"""When one model reads all public human text: a published Monte-Carlo model, rebuilt.

Villalobos et al. 2024 (arXiv 2211.04325v2) compare the stock of text on the indexed web with the
largest training set. Every input is lognormal. So the year in which demand meets the stock is, but
for one input, a ratio of two normal numbers, and its law can be had without a draw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats

from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.book.parameters import ParameterError
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, Claim

START = 2024  # the year that stock and largest training set are given for
CERTAINTY = {"largest": 0.90}  # of an input's interval; 95 % where it is not named
WORDS = {
    "pages": "pages on the indexed web",
    "page_bytes": "bytes of text on a page",
    "token_bytes": "bytes in a token",
    "quality": "share that is worth reading",
    "repeats": "gain from reading it again",
    "page_growth": "growth of a page, a year",
    "web_growth": "growth of the number of pages, a year",
    "demand_growth": "growth of training sets, a year",
    "largest": f"largest training set of {START}",
}
PAPER = (2026, 2032)  # years of full use, as the paper prints them
ORIGIN = "intervals of Villalobos et al. 2024 and of their public code, in the page's first cell"
BY_LAW = "by the law: a gap of logarithms over the pace at which it closes"
SOURCE = "Villalobos et al. 2024"
# Besiroglu et al. 2022, table 1: log10 of the FLOP of the largest training run.
COMPUTE = {2025: (25.33, 25.90, 26.14), 2030: (26.71, 28.67, 29.47), 2040: (29.27, 32.42, 34.71)}
# Words in a token, as the paper has it; and what the public code multiplies words by.
A_WORD, LLAMA_2 = 0.8, 1.5e12  # Llama 2-70B in the code's list of training sets, in words
# Training sets of which a model card tells the tokens, and when it came out; of the last one
# only a copy of the card was read.
SINCE = (
    ("Llama 3.1", 2024 + 6.7 / 12, 15e12),
    ("DeepSeek-V3", 2024 + 11.9 / 12, 14.8e12),
    ("Llama 4 Scout", 2025 + 3.1 / 12, 40e12),
    ("Qwen3", 2025 + 3.9 / 12, 36e12),
    ("DeepSeek-V4", 2026 + 3.8 / 12, 32e12),
)


@dataclass(frozen=True)
class Inputs:
    """The intervals that the model's inputs are lognormal in, each (low, high).

    token_bytes: an interval of what is taken from 6 bytes, as in the public code: 6 minus it is
        nearly 4 [2, 5], the interval in the paper.
    demand_growth: in powers of ten a year; the other growths are factors a year.
    overtraining: tokens per parameter, over those of a model that makes the most of its compute.
        With the same compute it takes the root of that factor more text.

    Raises:
        ParameterError: an interval is not two positive numbers, the lower one first.
    """

    pages: Sequence[float] = (75e9, 1e12)
    page_bytes: Sequence[float] = (6100, 8200)
    token_bytes: Sequence[float] = (1, 4)
    quality: Sequence[float] = (0.1, 0.4)
    repeats: Sequence[float] = (2, 5)
    page_growth: Sequence[float] = (1.02, 1.04)
    web_growth: Sequence[float] = (1.0, 1.1)
    demand_growth: Sequence[float] = (0.27, 0.48)
    largest: Sequence[float] = (3e12, 13e12)
    overtraining: float = 1.0

    def __post_init__(self) -> None:
        for name in WORDS:
            ends = getattr(self, name)
            if len(ends) != 2 or not 0 < ends[0] < ends[1]:
                raise ParameterError(
                    f"{name}={list(ends)} is no interval; give two positive numbers, the lower "
                    f"one first, as in {list(getattr(type(self), name))}"
                )
        if not self.overtraining > 0:
            raise ParameterError(f"overtraining={self.overtraining} must be a positive factor")

    @classmethod
    def among(cls, names: Mapping[str, object]) -> "Inputs":
        """Those that a page has as variables of the same name."""
        return cls(**{one.name: names[one.name] for one in fields(cls) if one.name in names})

    def law(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation of an input's logarithm to base ten."""
        low, high = getattr(self, name)
        if name != "demand_growth":
            low, high = math.log10(low), math.log10(high)
        width = stats.norm.ppf(0.5 + CERTAINTY.get(name, 0.95) / 2)
        return (low + high) / 2, (high - low) / 2 / width


# -- the model -------------------------------------------------------------------------------


def year(logs: Mapping[str, np.ndarray | float], overtraining: float = 1.0) -> np.ndarray:
    """The year in which demand meets the stock, which grow by constant factors.

    Args:
        logs: of each input, to base ten, as in `draw`; `token_bytes` is that of a token.
    """
    gap = stock(logs) - logs["largest"] - math.log10(overtraining) / 2
    pace = logs["demand_growth"] - logs["page_growth"] - logs["web_growth"]
    return START + gap / pace


def stock(logs: Mapping[str, np.ndarray | float], raw: bool = False) -> np.ndarray:
    """Log10 of the tokens of the start year: all there are, or what they are worth."""
    tokens = logs["pages"] + logs["page_bytes"] - logs["token_bytes"]
    return tokens if raw else tokens + logs["quality"] + logs["repeats"]


def draw(inputs: Inputs, draws: int, seed: int) -> pd.DataFrame:
    """Draws of every input's log10, of both stocks in tokens, and of the year of full use.

    Of a thousand draws about one has a token of fewer than no bytes. It is taken from the other
    end of that input instead, so that there are as many draws as were asked for.
    """
    random = np.random.default_rng(seed)
    logs = {}
    for name in WORDS:
        mean, deviation = inputs.law(name)
        normal = random.standard_normal(draws)
        if name == "token_bytes":
            taken = 10 ** (mean + deviation * normal)
            taken = np.where(taken < 6, taken, 10 ** (mean - deviation * normal))
            logs[name] = np.log10(6 - taken)
        else:
            logs[name] = mean + deviation * normal
    found = pd.DataFrame(logs)
    found["raw"], found["effective"] = 10 ** stock(logs, raw=True), 10 ** stock(logs)
    found["year"] = year(logs, inputs.overtraining)
    return found


def terms(inputs: Inputs, nodes: int = 400) -> dict[str, object]:
    """What the law of the year is made of: normal gap and pace, and the one that is not normal.

    Returns:
        `gap` and `pace` with their deviations, and `nodes`: log10 of the bytes of a token at as
        many equal steps of probability, of those with more than none.
    """
    law = {name: inputs.law(name) for name in WORDS}
    gap = (*(law[name] for name in ("pages", "page_bytes", "quality", "repeats", "largest")),)
    pace = (law["demand_growth"], law["page_growth"], law["web_growth"])
    mean, deviation = law["token_bytes"]
    at = stats.norm.ppf((np.arange(nodes) + 0.5) / nodes)
    left = 6 - 10 ** (mean + deviation * at)
    return {
        "gap": sum(one for one, _ in gap[:-1]) - gap[-1][0] - math.log10(inputs.overtraining) / 2,
        "gap_sd": math.hypot(*(sd for _, sd in gap)),
        "pace": pace[0][0] - pace[1][0] - pace[2][0],
        "pace_sd": math.hypot(*(sd for _, sd in pace)),
        "nodes": np.log10(left[left > 0]),
    }


def chance(inputs: Inputs, years: np.ndarray | float) -> np.ndarray:
    """The chance that demand has met the stock by a year, without a draw.

    For a token of given length, demand has met it by t years if gap - t pace, which is normal, is
    not above zero. That chance is averaged over lengths.
    """
    law = terms(inputs)
    t = np.asarray(years, float)[..., None] - START
    spread = np.hypot(law["gap_sd"], t * law["pace_sd"])
    return stats.norm.cdf((t * law["pace"] - (law["gap"] - law["nodes"])) / spread).mean(-1)


def quantile(inputs: Inputs, share: float) -> float:
    """The year by which demand has met the stock with a given chance."""
    found = optimize.brentq(lambda at: float(chance(inputs, at)) - share, START - 15, START + 60)
    return float(found)


def four_fifths(inputs: Inputs) -> tuple[float, float, float]:
    """Median and ends of the middle 80 % of the year of full use."""
    return quantile(inputs, 0.5), quantile(inputs, 0.1), quantile(inputs, 0.9)


def compute_chance(inputs: Inputs, years: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The same where demand follows from compute: 20 tokens per parameter, 6 FLOP for each.

    Rough: the paper's file is not to be had, so this takes the table that it goes back to, with
    straight lines between the table's years and halves of a normal law on either side.
    """
    found = draw(inputs, draws, seed)
    growth = found["page_growth"] + found["web_growth"]
    normal = np.random.default_rng(seed + 1).standard_normal(draws)
    known, told = np.array(list(COMPUTE)), np.array(list(COMPUTE.values())).T
    chances = []
    for at in years:
        low, middle, high = (_straight(at, known, ends) for ends in told)
        side = np.where(normal < 0, middle - low, high - middle) / stats.norm.ppf(0.975)
        tokens = math.log10(20) + (middle + side * normal - math.log10(6 * 20)) / 2
        have = np.log10(found["effective"]) + (at - START) * growth
        chances.append((tokens + math.log10(inputs.overtraining) / 2 >= have).mean())
    return np.array(chances)


def _straight(at: float, known: np.ndarray, values: np.ndarray) -> float:
    if at < known[0]:
        return values[0] + (at - known[0]) * (values[1] - values[0]) / (known[1] - known[0])
    return float(np.interp(at, known, values))


def crossing(years: np.ndarray, chances: np.ndarray) -> tuple[float, float, float]:
    """Median and ends of the middle 80 %, from chances by year."""
    return tuple(float(np.interp(share, chances, years)) for share in (0.5, 0.1, 0.9))


# -- what it hangs on ------------------------------------------------------------------------


def assumptions(inputs: Inputs, found: pd.DataFrame) -> pd.DataFrame:
    """For each input: years at the ends of its interval, and its share of the variance.

    The other inputs are at their medians. The share is the squared correlation with the year,
    over draws; shares need not add up to one.
    """
    middle = {name: inputs.law(name)[0] for name in WORDS}
    middle["token_bytes"] = math.log10(6 - 10 ** middle["token_bytes"])
    rows = []
    for name in WORDS:
        low, high = getattr(inputs, name)
        ends = (low, high)
        if name == "token_bytes":
            ends = (math.log10(6 - high), math.log10(6 - low)) if high < 6 else (np.nan, np.nan)
        elif name != "demand_growth":
            ends = (math.log10(low), math.log10(high))
        years = [float(year(middle | {name: end}, inputs.overtraining)) for end in ends]
        share = float(np.corrcoef(found[name], found["year"])[0, 1] ** 2)
        rows.append({"input": name, "low": years[0], "high": years[1], "share": share})
    return pd.DataFrame(rows).sort_values("share", ascending=False, ignore_index=True)


def from_training_set(inputs: Inputs, at: float, tokens: float) -> float:
    """The median year if demand were known to be so many tokens at a time, and grew on from there.

    An end of an interval of nearly no width, so that the rest of the model stays as it is.
    """
    back = tokens / 10 ** (inputs.law("demand_growth")[0] * (at - START))
    return quantile(replace(inputs, largest=(back * 0.999, back * 1.001)), 0.5)


def cases(inputs: Inputs) -> list[dict[str, object]]:
    """The year of full use with one assumption changed at a time."""
    once = (1 / 1.001, 1.001)
    changes: dict[str, dict[str, object]] = {
        "as in the public code": {},
        "5 times the tokens per parameter": {"overtraining": 5 * inputs.overtraining},
        "100 times the tokens per parameter": {"overtraining": 100 * inputs.overtraining},
        "largest set of 2024: 10 trillion, as in the paper's text": {
            "largest": tuple(10e12 * end for end in once)},
        "pages: 100 to 1,200 billion, as in the paper's text": {"pages": (100e9, 1200e9)},
        "gain from reading again: 3 to 5, as in the paper's text": {"repeats": (3, 5)},
        "everything read once": {"repeats": once},
        "half as much worth reading": {"quality": tuple(end / 2 for end in inputs.quality)},
        "training sets double every year": {"demand_growth": tuple(
            end - inputs.law("demand_growth")[0] + math.log10(2) for end in inputs.demand_growth)},
    }  # fmt: skip
    rows = []
    for case, change in changes.items():
        middle, low, high = four_fifths(replace(inputs, **change))
        rows.append({"assumption": case, "as likely as not by": a_year(middle, case),
                     "four times in five": years(low, high, case)})  # fmt: skip
    return rows


def a_year(value: float, case: str) -> Number:
    """A median year as a page tells it."""
    what = f"year in which demand meets the stock, as likely as not; {case}"
    return numbers.one(value, what, BY_LAW, origin=ORIGIN, form=".1f", unit="year")


def years(low: float, high: float, case: str) -> Number:
    """The middle 80 % of years, likewise."""
    what = f"years in which demand meets the stock, four times in five; {case}"
    return numbers.one(math.nan, what, BY_LAW, origin=ORIGIN, unit="year", low=low, high=high,
                       interval="middle 80 % of the law", text=f"[{low:.1f}, {high:.1f}]"
                       )  # fmt: skip


def reported(inputs: Inputs) -> list[dict[str, object]]:
    """Training sets since the paper, beside the median line of demand."""
    growth, largest = inputs.law("demand_growth")[0], inputs.law("largest")[0]
    rows = []
    for name, at, tokens in SINCE:
        line = 10 ** (largest + growth * (at - START))
        ratio = numbers.one(tokens / line, f"tokens of {name} ÷ median line of demand then",
                            BY_LAW, origin=ORIGIN, form=".1f")  # fmt: skip
        full = a_year(from_training_set(inputs, at, tokens), f"from {name} on")
        rows.append({"training set": name, "trillion tokens": f"{tokens / 1e12:g}",
                     "came out": f"{at:.1f}", "÷ the median line": ratio,
                     "full use, as likely as not": full})  # fmt: skip
    return rows


# -- what others say -------------------------------------------------------------------------


def significant(value: float, digits: int = 2) -> float:
    """A number as it would be printed with so many digits."""
    return float(f"{value:.{digits - 1}e}")


def claims(inputs: Inputs, found: pd.DataFrame) -> list[Claim]:
    """What the paper prints, and the press after it, beside the model as it is rebuilt here."""
    tens = 1e-12
    raw = [significant(value * tens) for value in np.quantile(found["raw"], (0.5, 0.025, 0.975))]
    worth = float(np.median(found["effective"])) * tens
    middle, low, high = four_fifths(inputs)
    sooner = middle - quantile(replace(inputs, overtraining=5 * inputs.overtraining), 0.5)
    law = terms(inputs)
    later = math.log10(3) / law["pace"]

    def told(agrees: bool) -> str:
        return AGREES if agrees else DISAGREES

    return [
        Claim("villalobos-stock", "draws, two digits",
              f"{raw[0]:g} [{raw[1]:g}, {raw[2]:,.0f}]", told(raw == [510, 130, 2100])),
        Claim("3-1", "median of draws, one digit", f"{worth:.0f}",
              told(significant(worth, 1) == 300)),
        Claim("3-1b", "middle 80 % of years, demand by its past growth",
              f"[{low:.1f}, {high:.1f}]",
              told(PAPER[0] <= low and high <= PAPER[1] + 1)),
        Claim("villalobos-median",
              "the same, median; the paper's other half of demand could not be had",
              f"{middle:.1f}", CANNOT_TELL),
        Claim("villalobos-overtraining", "difference of medians, years", f"{sooner:.1f}",
              told(round(sooner) == 1)),
        Claim("villalobos-tripled",
              "log 3 over growth of demand less that of the stock, years", f"{later:.1f}",
              told(abs(later - 1.5) < 0.25)),
    ]  # fmt: skip
