"""A herd of cats to play with on the page: no kernel, no network, and a still picture in print."""

import html
import json

import numpy as np
from IPython.display import HTML

from collapse.laws import drift

BLUE, YELLOW = "#0072B2", "#F0E442"
ACROSS = 10  # cats in a row
DRAWN = 4000  # herds that those on the page are taken from

# What the page itself does: colour as many cats as there are blue ones, and say it in words.
_SCRIPT = """
(() => {
  const box = document.getElementById("ID");
  const data = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const cats = [...box.querySelectorAll("circle")];
  const time = box.querySelector("input[type=range]");
  const herd = box.querySelector("select");
  const shown = box.querySelector("output");
  const said = box.querySelector("p");
  const share = (x) => (100 * x).toFixed(x > 0.1 && x < 0.9 ? 0 : 1) + " %";
  function draw() {
    const n = Number(time.value), k = Number(herd.value), blue = data.herds[k][n];
    cats.forEach((cat, i) => cat.setAttribute("class", i < blue ? "blue" : "yellow"));
    shown.textContent = n;
    time.setAttribute("aria-valuetext", "generation " + n + ", " + blue + " blue cats");
    said.textContent = "Herd " + (k + 1) + ", generation " + n + ": " + blue +
      " of " + data.cats + " cats are blue. Of all herds, " + share(data.none[n]) +
      " have no blue cat left and " + share(data.all[n]) + " have only blue ones.";
  }
  time.addEventListener("input", draw);
  herd.addEventListener("change", draw);
  box.querySelector("form").hidden = false;
  draw();
})();
"""


def play(
    blue: int, cats: int, generations: int, herds: int, seed: int, id: str = "play-herd"
) -> HTML:
    """A slider over the generations of some herds; the shares of all herds follow the exact law.

    Args:
        blue: blue cats at the start, of `cats`; the others are yellow.
        herds: to choose from, as `typical` picks them.
        id: of the element on the page, its permanent address there.
    """
    counts = typical(blue, cats, generations, herds, seed)
    law = drift.counts_law(blue, cats, generations)
    data = {
        "cats": cats,
        "herds": counts.T.tolist(),
        "none": np.round(law[:, 0], 4).tolist(),
        "all": np.round(law[:, -1], 4).tolist(),
    }
    choices = "".join(f'<option value="{k}">{k + 1}</option>' for k in range(herds))
    still = (
        f"Herd 1, generation 0: {blue} of {cats} cats are blue. After {generations} generations "
        f"{law[-1, 0]:.0%} of all herds have no blue cat left."
    )
    return HTML(
        f'<div class="herd" id="{id}" role="group" aria-label="A herd to play with">'
        f"{_picture(blue, cats)}"
        f'<form hidden onsubmit="return false"><label>generation <output>0</output>'
        f'<input type="range" min="0" max="{generations}" value="0" step="1"></label> '
        f"<label>herd <select>{choices}</select></label></form>"
        f'<p aria-live="polite">{html.escape(still)}</p>'
        f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script>'
        f"<script>{_SCRIPT.replace('ID', id)}</script></div>"
    )


def typical(blue: int, cats: int, generations: int, herds: int, seed: int) -> np.ndarray:
    """Blue cats in some herds that stand for all: int, (generations + 1, herds).

    Many herds are drawn and put in the order of what becomes of them, from those that lose their
    blue cats first to those that lose their yellow cats first. Taken are those in the middles of
    as many equal parts of that order, the one at its middle first.
    """
    random = np.random.default_rng(seed)
    shares = drift.resample_one(blue / cats, cats, generations, DRAWN, random)
    counts = np.rint(shares * cats).astype(int)
    alive, mixed = (counts > 0).sum(0), (counts < cats).sum(0)
    order = np.lexsort((-mixed, counts[-1], alive))  # by `alive`, then by the two others
    places = ((np.arange(herds) + 0.5) / herds * DRAWN).astype(int)
    return counts[:, order[np.roll(places, -(herds // 2))]]


def _picture(blue: int, cats: int) -> str:
    dots = "".join(
        f'<circle cx="{12 + 22 * (i % ACROSS)}" cy="{12 + 22 * (i // ACROSS)}" r="9" '
        f'class="{"blue" if i < blue else "yellow"}"/>'
        for i in range(cats)
    )
    width, height = 22 * ACROSS + 2, 22 * -(-cats // ACROSS) + 2
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="A herd of {cats} cats as '
        f'dots, dark ones blue, light ones yellow; the text below says how many.">'
        f"<style>.herd .blue{{fill:{BLUE}}} .herd .yellow{{fill:{YELLOW}}} "
        f".herd circle{{stroke:#333;stroke-width:1}}</style>{dots}</svg>"
    )
