"""The frame of a thing to play with on a page, which `_static/widget.js` and its own script fill.

Without a script, and in print, it stays hidden; the figures beside it remain.
"""

import json
from typing import Any

from IPython.display import HTML

_FRAME = """<div class="{kind} widget" id="{id}" hidden role="group" aria-label="{title}">
<form onsubmit="return false" style="display:grid;gap:.5rem;margin:1rem 0 0">{form}</form>
<svg viewBox="0 0 340 {height}" role="img" aria-label="{label}"
 style="display:block;width:min(26rem,100%);color:var(--pst-color-text-base)"></svg>
<p class="{kind}-said" style="margin:.3rem 0 1rem;min-height:5em"></p>
<p class="{kind}-heard" aria-live="polite"
 style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"></p>
{data}</div>"""
_RANGE = """<div style="width:min(26rem,100%)"><label for="{id}-{name}">{label}</label>
<output for="{id}-{name}"
 style="font-variant-numeric:tabular-nums;font-weight:600"></output>
<input id="{id}-{name}" name="{name}" type="range" {limits}
 style="display:block;width:100%;min-height:2rem">{below}</div>"""


def frame(
    kind: str, id: str, title: str, form: str, label: str, height: int, data: Any = None
) -> HTML:
    """A form, a picture `height` of 340 high, and what is said, with the data in it.

    Args:
        kind: the class of the frame, by which its script finds it.
        label: of the picture.
        data: for the script, as JSON.
    """
    told = "" if data is None else script(data) + "\n"
    return HTML(
        _FRAME.format(
            kind=kind, id=id, title=title, form=form, label=label, height=height, data=told
        )
    )


def script(data: Any) -> str:
    """Data for a script, as JSON that no text in it can end."""
    told = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json">{told}</script>'


def slider(
    id: str, name: str, label: str, limits: str = 'min="0" step="1"', below: str = ""
) -> str:
    """A range with its label and a place for its value.

    Args:
        id: of the frame.
        limits: attributes of the range.
        below: HTML under it, as ticks.
    """
    return _RANGE.format(id=id, name=name, label=label, limits=limits, below=below)
