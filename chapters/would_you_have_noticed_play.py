"""An alarm to set on the page: gauge, text and limit chosen, and when it would have rung.

`_static/alarm.js` plays it; without a script it stays hidden, and the figures beside it remain.
"""

import json
from collections.abc import Mapping

import numpy as np
from IPython.display import HTML

import would_you_have_noticed as noticed
from collapse.measure import alarms
from would_you_have_noticed import Alarm, Trial

STEPS = 20  # limits to choose from
_PAGE = """<div class="alarm" id="{id}" hidden>
<form onsubmit="return false" style="display:grid;gap:.5rem;margin:1rem 0 0">
<strong>Set an alarm</strong>
<label>gauge <select name="gauge"></select></label>
<label>text <select name="chain"></select></label>
<label>rule <select name="rule"><option value="sum">running sum (CUSUM)</option>
<option value="threshold">threshold against the run-in</option></select></label>
<label for="{id}-limit">limit <output for="{id}-limit"></output></label>
<input id="{id}-limit" name="limit" type="range" min="0" step="1"
 style="width:min(26rem,100%);min-height:2rem">
</form>
<svg viewBox="0 0 340 210" role="img" aria-label="The alarm's number by generation"
 style="display:block;width:min(26rem,100%);color:var(--pst-color-text-base)"></svg>
<p class="alarm-said" style="margin:.3rem 0 1rem;min-height:5em"></p>
<p class="alarm-heard" aria-live="polite"
 style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"></p>
<script type="application/json">{data}</script>
</div>"""


def data_of(trial: Trial, gauges: tuple[str, ...], chains: Mapping[str, str]) -> dict[str, object]:
    """The changes of some chains, and for each rule its limits with their false alarms.

    Args:
        chains: name in the trial -> how readers see it.

    Returns:
        `gauges`: name, direction, the rules `sum` and `threshold`, each a list of [limit, false
        alarms in 100 generations], the limits of the latter as ratios; `chains`: name, and for
        each seed, by gauge, changes in standard deviations and on the log scale.
    """
    if not trial.null:
        return {"gauges": [], "chains": []}
    told = [
        {
            "name": noticed.GAUGES[gauge][0],
            "sum": _rule(trial, Alarm("", gauge, alarms.cusum, 0.0)),
            "threshold": _rule(trial, Alarm("", gauge, alarms.shewhart, 0.0, scaled=False)),
            "sign": noticed.GAUGES[gauge][1],
        }
        for gauge in gauges
    ]
    shown = [
        {"name": name, "seeds": [
            {"sum": [_rounded(of.scaled[gauge], 2) for gauge in gauges],
             "threshold": [_rounded(of.changes[gauge], 4) for gauge in gauges]}
            for of in trial.chain(chain)]}
        for chain, name in chains.items() if trial.chain(chain)
    ]  # fmt: skip
    return {"gauges": told, "chains": shown}


def _rule(trial: Trial, alarm: Alarm) -> list[list[float]]:
    top = trial.set_to(alarm, 0.001).limit * 1.3
    limits = np.round(np.linspace(top / STEPS, top, STEPS), 3)
    found = 100 * alarms.rates(trial.long(alarm), alarm.chart, limits).mean(1)
    return [
        [float(limit), round(float(rate), 2)] for limit, rate in zip(limits, found, strict=True)
    ]


def _rounded(values: "np.typing.ArrayLike", digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def show(trial: Trial, gauges: tuple[str, ...], chains: Mapping[str, str], id: str) -> HTML:
    """The alarm as HTML, its data in it."""
    data = json.dumps(data_of(trial, gauges, chains), ensure_ascii=True, separators=(",", ":"))
    return HTML(_PAGE.format(id=id, data=data.replace("<", "\\u003c")))
