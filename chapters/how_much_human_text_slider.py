"""A slider over the human share: its curve over generations, and what it says, from the records.

`_static/share.js` plays it; without a script it stays hidden, and the figure beside it remains.
"""

import json
import math

import pandas as pd
from IPython.display import HTML
from matplotlib.colors import to_hex

import how_much_human_text as dose
from collapse.book import figures

_PAGE = """<div class="share" id="{id}" hidden>
<form onsubmit="return false" style="margin:1rem 0 0">
<label for="{id}-range"><strong>How much of the text is human?</strong></label>
<output for="{id}-range" style="font-variant-numeric:tabular-nums"></output>
<input id="{id}-range" type="range" min="0" step="1"
 style="display:block;width:min(26rem,100%);min-height:2rem">
</form>
<svg viewBox="0 0 340 210" role="img" aria-label="Perplexity by generation"
 style="display:block;width:min(26rem,100%);color:var(--pst-color-text-base)"></svg>
<p class="share-said" style="margin:.3rem 0 1rem;min-height:5em"></p>
<p class="share-heard" aria-live="polite"
 style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"></p>
<script type="application/json">{data}</script>
</div>"""


def data_of(found: pd.DataFrame) -> dict[str, object]:
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
    data = json.dumps(data_of(found), ensure_ascii=True, separators=(",", ":"))
    return HTML(_PAGE.format(id=id, data=data.replace("<", "\\u003c")))
