"""The loop as a picture: human text, models, what they write; and three taps, one of them lit."""

from IPython.display import HTML

from collapse.book import cards

# Where each tap lies in the picture, what it asks, what it can be, and which chapter turns it.
TAPS = {
    "written": {
        "x": 186, "y": 62, "question": "How is it written?",
        "choices": "The whole distribution, or the likelier part of it.",
        "chapter": "how-is-the-text-written",
    },
    "human": {
        "x": 24, "y": 62, "question": "How much is human?",
        "choices": "Nothing, a tenth, a half, all of it.", "chapter": "how-much-human-text",
    },
    "kept": {
        "x": 86, "y": 136, "question": "What is kept?",
        "choices": "Only the newest text, or the older ones as well.",
        "chapter": "replace-or-accumulate",
    },
}  # fmt: skip


def diagram(lit: str = "") -> HTML:
    """The loop with its three taps, and beside or below it what they ask.

    Args:
        lit: the tap that the page is about: `written`, `human`, `kept`, or none.

    Raises:
        KeyError: there is no such tap.
    """
    if lit:
        TAPS[lit]
    return HTML(cards.rendered("loop.html", taps=TAPS, lit=lit))
