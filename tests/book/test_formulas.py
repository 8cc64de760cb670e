"""Formulas as MathML: every one of the book can be set, and indices stand where they belong."""

import re
import xml.etree.ElementTree as ET

import pytest
from docutils.utils.math import MathError

from collapse.book import chapter, formulas
from collapse.measure import gauges

TEX = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+)\$", re.S)


def written(tex: str) -> str:
    return (
        "".join(ET.fromstring(formulas.mathml(tex)).itertext()).replace("\n", "").replace(" ", "")
    )


@pytest.mark.parametrize("name", [page.removeprefix("chapters/") for page in chapter.pages()])
def test_every_formula_of_a_page_can_be_set(name: str) -> None:
    text = "\n".join(c.source for c in chapter.read(name).cells if c.cell_type == "markdown")
    for block, inline in TEX.findall(text):
        assert written(block or inline)


@pytest.mark.parametrize("name", [*gauges.PREDICTIONS, *gauges.TEXT])
def test_every_formula_of_a_gauge_can_be_set(name: str) -> None:
    assert written((gauges.PREDICTIONS | gauges.TEXT)[name].formula)


@pytest.mark.parametrize("tex", [r"\hat p_v", r"\tilde p_v", r"\hat{K}_{50}"])
def test_an_index_stands_beside_a_letter_with_a_hat(tex: str) -> None:
    (node,) = list(ET.fromstring(formulas.mathml(tex)))
    assert node[0].tag.endswith("mover")
    assert node.tag.endswith("msub") and len(node) == 2


def test_a_sum_keeps_its_index_below() -> None:
    assert "munder" in formulas.mathml(r"\sum_v p_v", as_block=True)


def test_what_cannot_be_set_is_refused() -> None:
    with pytest.raises(MathError):
        formulas.mathml(r"\nosuchcommand x")
