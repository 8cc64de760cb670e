"""Three sliders: what a detector says, and how often it errs, give what there is.

`_static/prevalence.js` plays them; without a script they stay hidden, and the figure remains.
"""

from IPython.display import HTML

_RANGE = """<label for="{id}-{key}" style="display:block;margin-top:.5rem">{label}
<output style="font-variant-numeric:tabular-nums;font-weight:600"></output>
<input id="{id}-{key}" type="range" min="{low:g}" max="{high:g}" step="0.1" value="{value:g}"
 style="display:block;width:min(26rem,100%);min-height:2rem"></label>"""
_PAGE = """<div class="prevalence" id="{id}" hidden>
<form onsubmit="return false" style="margin:1rem 0 0">{ranges}</form>
<svg viewBox="0 0 340 64" role="img" aria-label="The share said and the share that there is"
 style="display:block;width:min(26rem,100%);color:var(--pst-color-text-base)"></svg>
<p class="prevalence-said" style="margin:.3rem 0 1rem;min-height:4em"></p>
<p class="prevalence-heard" aria-live="polite"
 style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"></p>
</div>"""


def show(said: float, sensitivity: float, false_alarms: float, id: str) -> HTML:
    """The sliders as HTML, set to some shares."""
    given = (
        ("said", "The detector flags", 0, 100, said),
        ("caught", "of machines' text it flags", 40, 100, sensitivity),
        ("false", "of human text it flags", 0, 30, false_alarms),
    )
    ranges = "\n".join(
        _RANGE.format(id=id, key=key, label=label, low=low, high=high, value=100 * value)
        for key, label, low, high, value in given
    )
    return HTML(_PAGE.format(id=id, ranges=ranges))
