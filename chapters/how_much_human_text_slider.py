"""A slider over the human share: its curve over generations, and what it says, from the records.

`_static/share.js` plays it; without a script it stays hidden, and the figure beside it remains.
"""

import math
from typing import Any

import pandas as pd
from IPython.display import HTML
from matplotlib.colors import to_hex

import how_much_human_text as dose
from collapse.book import figures, widget


def data_of(found: pd.DataFrame) -> dict[str, Any]:
    """For each human share, from none up: its seeds, their mean, and what is said of the end.

    Args:
        found: as `dose.grid` gives it.
    """
    if found.empty:
        return {"shares": []}
    end, shares = int(found["generation"].max()), []
    for share in sorted(set(found["share"]), reverse=True):
        rows = found[found["share"] == share].assign(ratio=lambda x: x["test_perplexity_change"])
        human = round(1 - share, 9)
        last, since = (
            dose.change(found, share, end, "test_perplexity"),
            dose.since(found, share, min(2, end), end),
        )
        shares.append(
            {
                "human": f"{100 * human:g}",
                "colour": to_hex(figures.human_share(human)),
                "mean": _rounded(figures.mean_over_seeds(rows, "ratio")),
                "seeds": [_rounded(one["ratio"]) for _, one in rows.groupby("seed")],
                "last": str(dose.worse(last)),
                "since": f"×{since}",
            }
        )
    return {"end": end, "from": min(2, end), "shares": shares}


def _rounded(values: pd.Series) -> list[float]:
    return [round(float(value), 3) for value in values if not math.isnan(value)]


def show(found: pd.DataFrame, id: str) -> HTML:
    """The slider as HTML, its data in it."""
    shown = data_of(found)
    ticks = "".join(f"<span>{one['human']}</span>" for one in shown["shares"])
    question, label = "How much of the text is human?", "Perplexity by generation"
    form = widget.slider(
        id, "range", f"<strong>{question}</strong>",
        below=f'<div class="ticks" aria-hidden="true">{ticks}</div>',
    )  # fmt: skip
    return widget.frame("share", id, question, form, label, 210, shown)
