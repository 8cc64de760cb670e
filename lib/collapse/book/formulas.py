"""Formulas as MathML, which browsers set without a script."""

import html
import xml.etree.ElementTree as ET
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
_MATHML = "http://www.w3.org/1998/Math/MathML"
_ACCENTS = ("\u02c6", "\u02dc", "~")  # a hat, a tilde


def inline(translator: Any, node: nodes.math) -> None:
    """A formula in the text."""
    translator.body.append(f'<span class="math">{_set(node, as_block=False)}</span>')
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula in a line of its own, which scrolls where the screen is narrower."""
    translator.body.append(f'<div class="math" tabindex="0">{_set(node, as_block=True)}</div>')
    raise nodes.SkipNode


def _set(node: nodes.Node, as_block: bool) -> str:
    try:
        return mathml(node.astext(), as_block)
    except MathError as error:
        logger.warning("a formula cannot be set: %s", error, location=node)
        return html.escape(node.astext())


def mathml(tex: str, as_block: bool = False) -> str:
    """A formula in TeX as MathML.

    Of what docutils makes, an index of a letter with a hat is put beside it, not below; and a line
    over a mean is made as long as what is below it.

    Raises:
        MathError: it has a command that docutils does not know.
    """
    made = str(tex2mathml(tex, as_block=as_block)).replace("&ApplyFunction;", "\u2061")
    root = ET.fromstring(made)
    for node in list(root.iter(_tag("munderover"))):
        base, index, over = list(node)
        if over.text in _ACCENTS:
            node[:] = []
            node.tag = _tag("msub")
            hat = ET.SubElement(node, _tag("mover"))
            hat.extend([base, over])
            node.append(index)
    for line in root.iter(_tag("mo")):
        if line.text == "_" and line.get("accent"):
            line.text = "‾"
            line.set("stretchy", "true")
    ET.register_namespace("", _MATHML)
    return ET.tostring(root, encoding="unicode")


def _tag(name: str) -> str:
    return f"{{{_MATHML}}}{name}"
