"""An alarm to set on the page: gauge, text and limit chosen, and when it would have rung.

`_static/alarm.js` plays it; without a script it stays hidden, and the figures beside it remain.
"""

from collections.abc import Mapping

import numpy as np
from IPython.display import HTML

import would_you_have_noticed as noticed
import would_you_have_noticed_charts as alarms
from collapse.book import widget
from would_you_have_noticed import Alarm, Trial

STEPS = 20  # limits to choose from
_FORM = """<strong>Set an alarm</strong>
<label>gauge <select name="gauge"></select></label>
<label>text <select name="chain"></select></label>
<label>rule <select name="rule"><option value="sum">running sum (CUSUM)</option>
<option value="threshold">threshold against the run-in</option></select></label>
"""


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
    form = _FORM + widget.slider(id, "limit", "limit")
    label, data = "The alarm's number by generation", data_of(trial, gauges, chains)
    return widget.frame("alarm", id, "Set an alarm", form, label, 210, data)
