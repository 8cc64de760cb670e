"""Things to play with on the page: herds that are drawn in the browser, and words that last.

No kernel and no network: numbers lie in the page, `_static/herd.js` and `words.js` do the rest.
Without scripts, and in print, a table stands for them.
"""

import html
from collections.abc import Sequence

import numpy as np
from IPython.display import HTML
from scipy import stats

from collapse.book import widget
from collapse.laws import drift
from why_tails_vanish_counts import Vocabulary

ACROSS = 10  # cats in a row
WAYS = {  # of drawing the next herd: the choice, as a column's head, and what follows for the lost
    "replace": ("the last herd alone", "replace",
                "A herd without blue cats stays so."),
    "fresh": ("the last herd, and a tenth from the first one", "a tenth fresh",
              "Such a herd gets blue cats back with the fresh ones."),
    "keep": ("all cats that there ever were", "keep everything",
             "The cats that are kept still have blue ones among them, so they come back."),
}  # fmt: skip
MEASURED = 100_000  # herds, where there is no closed form
AFTER = (1, 10, 100)  # redraws
COMMON, A_COUNT = 3000, 32  # words that come with the page: so many, and of each rarer count


# -- herds -----------------------------------------------------------------------------------


def fresh_law(blue: int, cats: int, fresh: int, generations: int) -> np.ndarray:
    """The exact chance of no blue cat where some of each herd are drawn from the first one.

    The others are drawn from the last herd, so a count is the sum of two binomial ones:
    (generations + 1,).
    """
    new = stats.binom.pmf(np.arange(fresh + 1), fresh, blue / cats)
    old = stats.binom.pmf(
        np.arange(cats - fresh + 1)[None, :], cats - fresh, np.arange(cats + 1)[:, None] / cats
    )
    steps = np.array([np.convolve(row, new) for row in old])
    law, found = np.eye(cats + 1)[blue], []
    for _ in range(generations + 1):
        found.append(law[0])
        law = law @ steps
    return np.array(found)


def kept(blue: int, cats: int, generations: int, herds: int, seed: int) -> np.ndarray:
    """Blue cats in herds that are drawn from all cats so far: (generations + 1, herds)."""
    random = np.random.default_rng(seed)
    counts = np.full((generations + 1, herds), blue)
    pool = counts[0].copy()
    for n in range(1, generations + 1):
        counts[n] = random.binomial(cats, pool / (n * cats))
        pool += counts[n]
    return counts


def without_blue(
    blue: int, cats: int, generations: int, measured: int = MEASURED
) -> dict[str, np.ndarray]:
    """The share of herds without a blue cat, by way of drawing: (generations + 1,) each.

    Exact for `replace` and `fresh`; of so many herds, drawn with seed 0, for `keep`.
    """
    return {
        "replace": drift.counts_law(blue, cats, generations)[:, 0],
        "fresh": fresh_law(blue, cats, cats // 10, generations),
        "keep": (kept(blue, cats, generations, measured, 0) == 0).mean(1),
    }


def herd(blue: int, cats: int, generations: int, seed: int, id: str = "play-herd") -> HTML:
    """A hundred herds to be drawn by the reader, beside the share that the law says is lost.

    Args:
        blue: blue cats at the start, of `cats`; the others are yellow.
        seed: of the herds that are shown first, which should look like the law.
        id: of the element on the page, its permanent address there.
    """
    laws = without_blue(blue, cats, generations)
    origins = dict.fromkeys(laws, "by the exact law") | {"keep": f"in {MEASURED:,} simulated herds"}
    data = {
        "cats": cats,
        "blue": blue,
        "fresh": cats // 10,
        "seed": seed,
        "laws": {
            way: {"values": np.round(law, 4).tolist(), "origin": origins[way], "told": WAYS[way][2]}
            for way, law in laws.items()
        },
    }
    choices = "".join(
        f'<label><input type="radio" name="{id}-way" value="{way}"'
        f"{' checked' if way == 'replace' else ''}> {choice}</label>"
        for way, (choice, _, _) in WAYS.items()
    )
    rows = [
        [str(n), *(percent(law[n]) for law in laws.values())]
        for n in sorted({n for n in (1, 10, 50, 100) if n < generations} | {generations})
    ]
    return HTML(
        f'<div class="play play-herd" id="{id}" role="group" aria-labelledby="{id}-title">'
        f'<p class="play-title" id="{id}-title">Play: draw the herds yourself</p>'
        f'<form hidden onsubmit="return false"><fieldset><legend>The next herd is drawn from'
        f"</legend>{choices}</fieldset>"
        '<button type="button" class="play-run">Play</button>'
        '<button type="button" class="play-new">New herds</button>'
        f'<div class="play-time"><label for="{id}-time">generation</label> '
        f'<output for="{id}-time"></output><input id="{id}-time" type="range" min="0" '
        f'max="{generations}" value="{generations}" step="1"><div class="ticks" aria-hidden="true">'
        f"{_ticks(generations)}</div></div></form>"
        f'<div class="play-pictures"><div class="play-picture">{_picture(blue, cats)}'
        "<p>One herd</p></div>"
        '<div class="play-picture play-all"><svg class="play-herd-all" viewBox="0 0 222 222" '
        'role="img" aria-label="A hundred small herds, each blue as high as its share of blue '
        'cats; those without a blue cat are grey and struck out. The text below counts them.">'
        "</svg><p>A hundred herds; the framed one is large on the left</p></div></div>"
        '<div class="play-picture play-law"><svg viewBox="0 0 430 132" role="img" '
        'aria-label="The share of herds without a blue cat by generation; the text below says '
        'it."></svg><p>Herds without a blue cat: thick, these hundred; thin, the law</p></div>'
        '<p class="play-said"></p>'
        + _table(
            ["generation", *(head for _, head, _ in WAYS.values())],
            rows,
            f"Share of herds without a blue cat, by exact laws; where everything is kept, in "
            f"{MEASURED:,} simulated herds.",
        )
        + widget.script(data)
        + "</div>"
    )


def _ticks(last: int) -> str:
    """The numbers below a slider from 0 to a last one, evenly spread, and no more than five."""
    gaps = next((n for n in (4, 3, 2) if last % n == 0), 1)
    return "".join(f"<span>{last * n // gaps}</span>" for n in range(gaps + 1))


def _picture(blue: int, cats: int) -> str:
    dots = "".join(
        f'<circle cx="{12 + 22 * (i % ACROSS)}" cy="{12 + 22 * (i // ACROSS)}" r="9" '
        f'class="{"blue" if i < blue else "yellow"}"/>'
        for i in range(cats)
    )
    width, height = 22 * ACROSS + 2, 22 * -(-cats // ACROSS) + 2
    return (
        f'<svg class="play-herd-one" viewBox="0 0 {width} {height}" role="img" aria-label="A herd '
        f'of {cats} cats as dots, dark ones blue, light ones yellow; the text below counts them.">'
        f"{dots}</svg>"
    )


# -- words -----------------------------------------------------------------------------------


def half_life(count: int) -> int:
    """The first generation by which a word with a count is gone with a chance of a half."""
    alive, n = 1.0, 0
    while (1 - alive) ** count < 0.5:
        alive, n = float(-np.expm1(-alive)), n + 1
    return n


def shipped(
    found: Vocabulary, common: int = COMMON, a_count: int = A_COUNT
) -> tuple[dict[int, list[str]], int]:
    """Words that come with the page, by count, and the count from which on all of them do.

    They are the commonest ones, and some of each lower count, chosen with seed 0. Only what has a
    letter, and nothing that HTML could take for its own, is a word here.
    """
    by_count: dict[int, list[str]] = {}
    for word, count in zip(found.words.tolist(), found.counts.tolist(), strict=True):
        if any(letter.isalpha() for letter in word) and not set(word) & set("<>&@"):
            by_count.setdefault(count, []).append(word)
    random, taken, least = np.random.default_rng(0), 0, 1
    for count, words in by_count.items():  # from the commonest down
        if taken < common:
            taken, least = taken + len(words), count
        elif len(words) > a_count:
            by_count[count] = sorted(random.choice(words, a_count, replace=False).tolist())
    return by_count, least


def examples(found: Vocabulary, targets: Sequence[float] = (1, 3, 10, 100, 1000)) -> dict[str, int]:
    """Some words in small letters with about so many occurrences, and the commonest; count each."""
    every = dict(zip(found.words.tolist(), found.counts.tolist(), strict=True))
    plain = (word for word in every if word.isalpha() and word.islower() and len(word) > 2)
    counts = {word: every[word] for word in plain} or every
    random, chosen = np.random.default_rng(3), {}
    words, logs = list(counts), np.log(list(counts.values()))
    for target in targets:
        near = np.abs(logs - np.log(target))
        word = words[random.choice(np.flatnonzero(near == near.min()))]
        chosen[word] = counts[word]
    common = max(counts, key=counts.__getitem__)
    return dict(sorted((chosen | {common: counts[common]}).items(), key=lambda item: item[1]))


def words(found: Vocabulary, named: Sequence[str] = (), id: str = "play-words") -> HTML:
    """Type a word, and see how long it lasts; six words stand there for those who cannot.

    Args:
        named: words that occur once and that the page speaks of, to be among those one can type.
    """
    known, least = shipped(found)
    if named:
        known[1] = sorted({*known.get(1, []), *named})
    data = {"counts": {count: " ".join(some) for count, some in known.items()}, "after": AFTER,
            "least": least}  # fmt: skip
    rows = []
    for word, count in examples(found).items():
        lost = drift.lost_by(count, max(AFTER))
        rows.append(
            [word, f"{count:,}", _rounded(half_life(count)), *(percent(lost[n]) for n in AFTER)]
        )
    heads = ["word", "times in the text", "half gone within",
             *(f"gone after {n}" for n in AFTER)]  # fmt: skip
    return HTML(
        f'<div class="play play-words" id="{id}" role="group" aria-labelledby="{id}-title">'
        f'<p class="play-title" id="{id}-title">Play: how long does a word last?</p>'
        '<form hidden><label>a word <input type="text" autocomplete="off" spellcheck="false">'
        '</label><button type="button" class="play-rare">A rare one</button>'
        '<button type="button" class="play-any">Any</button></form>'
        + _table(heads, rows, "Chances in redraws of the whole text, by the branching law.")
        + f'<p class="play-said" aria-live="polite"></p>{widget.script(data)}</div>'
    )


def _rounded(n: int) -> str:
    return f"{n:,}" if n < 1000 else f"{float(f'{n:.3g}'):,.0f}"


# -- both ------------------------------------------------------------------------------------


def percent(p: float) -> str:
    """A chance, as the page's scripts write it too."""
    if p < 0.001 or p > 0.999:
        return "< 0.1\u00a0%" if p < 0.5 else "> 99.9\u00a0%"
    return f"{100 * p:.{1 if p < 0.1 or p > 0.9 else 0}f}\u00a0%"


def _table(heads: list[str], rows: list[list[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(one)}</td>" for one in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
