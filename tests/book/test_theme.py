"""What pages get beyond the theme: the loop, figures in two widths, code at the end, numbers."""

import pytest
from bs4 import BeautifulSoup

from collapse.book import loop


@pytest.mark.parametrize("lit", ["", *loop.TAPS])
def test_the_loop_lights_one_tap_in_picture_words_and_list(lit: str) -> None:
    shown = BeautifulSoup(loop.diagram(lit).data, "html.parser")
    picture = shown.svg
    assert picture is not None and picture.title and picture.find("desc")
    assert picture["viewbox"].split()[2] == "340"
    number = [str(1 + list(loop.TAPS).index(lit))] if lit else []
    assert [tap.get_text().strip() for tap in picture.select(".loop-tap.lit")] == number
    assert [line["class"][1] for line in picture.select(".loop-line.lit")] == (
        [f"loop-{lit}"] if lit else []
    )
    told = picture.find("desc").get_text()
    assert ("Lit here" in told) == bool(lit)
    assert len(shown.select("li")) == 3 and len(shown.select("li.lit strong")) == len(number)
    linked = {link["href"] for link in shown.select("li a")}
    assert linked == {f"{tap['chapter']}.html" for name, tap in loop.TAPS.items() if name != lit}


def test_a_tap_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        loop.diagram("sold")
