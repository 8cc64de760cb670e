"""The explorer: its texts against the tokeniser's own, and its page in a browser."""

import dataclasses
import json
import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

import no_retention as explorer
import retention_figures
from browser import CHROMIUM, OVERFLOW, opened, served
from collapse.book import site
from collapse.book.notebook import normalise
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from toy_records import make_record
from toys import at, toy_site

LENGTH, GENERATIONS = 64, 4
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


def block(text: str, tokenizer: Any, length: int = LENGTH) -> np.ndarray:
    """The beginning of a text, repeated, as tokens: (length,)."""
    tokens = tokenizer(text * length, add_special_tokens=False)["input_ids"]
    return np.array(tokens[:length], np.uint16)


def record_of(texts: list[list[str]], tokenizer: Any) -> SimpleNamespace:
    """A record with the facts of schema 3: texts[generation][block]; each block is a sample."""
    text = np.stack([[block(one, tokenizer) for one in row] for row in texts])
    random = np.random.default_rng(0)
    nll = random.exponential(4, (*text.shape[:2], LENGTH - 1)).astype(np.float16)
    arrays = {"text": text, "sample_nll": nll}
    samples = [
        {"prompt": f"prompt {i}", "human": f"human {i}", "row": i, "generations": list(row)}
        for i, row in enumerate(zip(*texts, strict=True))
    ]
    arrays |= {"sample_human": text[0].ravel(), "sample_human_nll": nll + 1}
    return SimpleNamespace(arrays=arrays, samples=samples)


# -- pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["rain and wind ", "a ☂ in the rain, ", "naïve «☂☂» 雨 "])
def test_the_pieces_of_a_passage_are_the_text(tokenizer: Any, text: str) -> None:
    tokens = block(text, tokenizer)
    found = explorer.passage(tokens, np.ones(LENGTH - 1), tokenizer)
    assert "".join(piece for piece, _ in found.pieces) == tokenizer.decode(tokens)
    whole = found.pieces[:-1]  # the block may end within a character
    assert not any("\ufffd" in piece for piece, _ in whole)


def test_tokens_of_one_character_are_one_piece_with_the_sum_of_their_surprise(
    tokenizer: Any,
) -> None:
    tokens = np.array(tokenizer("☂☂a", add_special_tokens=False)["input_ids"])
    assert len(tokens) == 7  # three bytes for each umbrella
    nats = np.log(2) * np.array([1, 1, 4, 8, 16, 32])
    found = explorer.passage(tokens, nats, tokenizer)
    # The first token has no loss, so its character has none.
    assert found.pieces == [("☂", None), ("☂", 28.0), ("a", 32.0)]
    assert found.bits == pytest.approx(62 / 6, abs=0.005)


def test_bytes_that_never_make_a_character_lose_no_text(tokenizer: Any) -> None:
    first, *_ = tokenizer("☂", add_special_tokens=False)["input_ids"]
    (letter,) = tokenizer("a", add_special_tokens=False)["input_ids"]
    tokens = np.array([letter, first, letter, letter, first])
    found = explorer.passage(tokens, np.ones(4), tokenizer)
    assert "".join(piece for piece, _ in found.pieces) == "a\ufffdaa\ufffd"
    total = sum(bits for _, bits in found.pieces if bits is not None)
    assert total == pytest.approx(4 / math.log(2), abs=0.2)  # each piece is rounded


def test_a_line_s_end_is_a_paragraph_sign(tokenizer: Any) -> None:
    tokens = np.array([tokenizer.eos_token_id, *tokenizer("a")["input_ids"][-1:]])
    found = explorer.passage(tokens, np.zeros(1), tokenizer)
    assert found.pieces == [("¶", None), ("a", 0.0)]


# -- words ------------------------------------------------------------------------------------


def test_shares_of_distinct_words_are_those_of_equally_long_texts() -> None:
    assert explorer.distinct_words([["a b", "c d"], ["Rain, rain", "rain rain"]]) == [1.0, 0.25]
    # Two of "a a b b" are of one kind with chance 1/3: 5/3 kinds on average, of two words.
    assert explorer.distinct_words([["a a b b"], ["x y"]]) == [
        pytest.approx(5 / 6, abs=1e-4),
        1.0,
    ]


def test_a_text_without_words_has_no_distinct_ones() -> None:
    assert explorer.distinct_words([["a b"], ["@-@-", "..."]]) == [1.0, 0.0]
    assert explorer.distinct_words([["--"]]) == [0.0]


# -- texts of a record ------------------------------------------------------------------------


def test_the_texts_of_a_record_are_those_of_its_samples(tokenizer: Any) -> None:
    record = record_of([["rain ", "wind "], ["stone ", "river "]], tokenizer)
    texts = explorer.data_of(record, tokenizer)
    assert texts is not None
    second = texts.samples[1]
    assert second.prompt == "prompt 1"
    for n, found in enumerate(second.generations):
        said = tokenizer.decode(record.arrays["text"][n, 1])
        assert "".join(piece for piece, _ in found.pieces) == said
        nll = record.arrays["sample_nll"][n, 1].astype(np.float64)
        assert found.bits == pytest.approx(np.log2(np.exp(nll)).mean(), abs=0.006)
    assert second.human.bits == pytest.approx(
        second.generations[0].bits + 1 / math.log(2), abs=0.02
    )
    assert len(texts.distinct) == 2


def test_a_record_without_losses_of_tokens_has_no_texts(tokenizer: Any) -> None:
    record = record_of([["rain "]], tokenizer)
    del record.arrays["sample_nll"]
    assert explorer.data_of(record, tokenizer) is None


# -- the script -------------------------------------------------------------------------------


def many(samples: int, generations: int) -> explorer.Texts:
    one = explorer.Passage([(" ☂rain", 12.5)] * LENGTH, 12.5)
    sample = explorer.Sample("p", one, [one] * generations)
    numbered = [dataclasses.replace(sample, prompt=str(i)) for i in range(samples)]
    return explorer.Texts(numbered, [0.5] * generations)


def parsed(script: str) -> dict[str, Any]:
    return json.loads(script[script.index(" = ") + 3 : script.rindex(";")])


def test_the_script_is_ascii_and_as_large_as_a_page_may_be() -> None:
    small, large = (explorer.script(many(6, n), "x") for n in (10, 60))
    assert [sample["prompt"] for sample in parsed(small)["samples"]] == list("012345")
    kept = [sample["prompt"] for sample in parsed(large)["samples"]]
    assert kept == list("012345")[: len(kept)] and 0 < len(kept) < 6
    for script in (small, large):
        assert script.isascii() and len(script) <= 300_000
    with pytest.raises(ValueError, match="300,000 bytes"):
        explorer.script(many(1, 1000), "x")


ATTACK = "<b>x</b><script>alert(1)</script> "


@pytest.fixture
def run(toy: Protocol, tokenizer: Any) -> Run:
    """A run with the facts that the explorer needs: collapse to one word, and markup."""
    texts = [
        [" ".join(f"{word}{n}" for n in range(9)) + " ", ATTACK, "a ☂ in the rain "]
        for word in ("rain", "wind")
    ]
    texts += [["the the river ", ATTACK, "☂ "], ["the ", ATTACK, "☂ "]]
    facts = record_of(texts, tokenizer)
    made = make_record(toy.replace(generations=GENERATIONS))
    arrays = {name: made.arrays[name] for name in made.arrays} | facts.arrays
    return Run(dataclasses.replace(made, arrays=arrays, samples=facts.samples), computed=False)


def test_what_is_shown_starts_with_the_strip_s_prompt(run: Run, tmp_path: Path) -> None:
    shown = explorer.show(run, sample=2, id="see").data
    assert retention_figures.strip(run, 2).data in shown
    texts = parsed((tmp_path / "build/figures/see.js").read_text())
    assert [one["prompt"] for one in texts["samples"]] == ["prompt 2", "prompt 0", "prompt 1"]


def test_a_record_without_losses_of_tokens_shows_the_strip_alone(run: Run, tmp_path: Path) -> None:
    arrays = {name: array for name, array in run.record.arrays.items() if name != "sample_nll"}
    bare = Run(dataclasses.replace(run.record, arrays=arrays), computed=False)
    assert explorer.show(bare, 0, "see").data == retention_figures.strip(bare, 0).data
    assert not (tmp_path / "build/figures/see.js").exists()


def test_a_tokeniser_that_cannot_be_had_leaves_the_strip(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = run.record.protocol.replace(model="facebook/opt-125m")
    other = Run(dataclasses.replace(run.record, protocol=protocol), computed=False)
    assert explorer.show(other, 0, "see").data == retention_figures.strip(other, 0).data
    assert "not shown token by token" in capsys.readouterr().out


# -- in a browser -----------------------------------------------------------------------------


@pytest.fixture
def html(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of a toy book that shows the run, below more than a screen of text."""
    build = toy_site(tmp_path)
    monkeypatch.setenv("COLLAPSE_BUILD", str(build))
    executed = build / "executed/toy.ipynb"
    notebook = nbformat.read(executed, as_version=4)
    shown = new_output("display_data", {"text/html": explorer.show(run, 0, "see").data})
    notebook.cells += [
        new_markdown_cell("\n\n".join(["Rain."] * 60)),
        new_code_cell("see()", outputs=[shown]),
    ]
    executed.write_text(nbformat.writes(normalise(notebook)))
    with at(tmp_path):
        return site.make(build).parent / "chapters/toy.html"


def reached(page: Any) -> Any:
    """The explorer, once the reader has come to it."""
    page.locator("#see").scroll_into_view_if_needed()
    page.locator("#see.ready").wait_for(timeout=10_000)
    return page.locator("#see")


COLOURS = """spans => spans.map(s => {
    const style = getComputedStyle(s);
    return [style.color, style.backgroundColor];
})"""


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2.2)."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@needs_chromium
def test_the_explorer_in_a_browser(chromium: Any, html: Path, run: Run) -> None:
    """One page, built once: read from a server and from disk, by keys, narrow, dark, in print."""
    with served(html.parents[1]) as address:
        for url in (f"{address}/chapters/toy.html", html.as_uri()):
            _is_read_by_keys(chromium, url, run)
        url = f"{address}/chapters/toy.html"
        _fits_a_telephone(chromium, url)
        _can_be_read_in_both_themes(chromium, url)
        _stands_still(chromium, url, html)


def _is_read_by_keys(chromium: Any, url: str, run: Run) -> None:
    with opened(chromium, url) as visit:
        page = visit.page
        assert page.locator("script[src$='see.js']").count() == 0  # not before it is needed
        box = reached(page)
        said, shown = box.locator("[aria-live=polite]"), box.locator("[data-passage=shown]")
        assert "Generation 1:" in said.inner_text() and not box.locator("table").is_visible()
        box.get_by_role("slider", name="generation").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        nll = run.record.arrays["sample_nll"][3, 0].astype(np.float64)
        human = run.record.arrays["sample_human_nll"][0, 0].astype(np.float64)
        own, other = (f"{mean / math.log(2):.1f} bits" for mean in (nll.mean(), human.mean()))
        assert said.inner_text().startswith(
            f"Generation 3: on average a token of this text surprises generation 0 by {own}; "
            f"a token of the human text, {other}."
        )
        assert set(shown.inner_text().split()) <= {"the", "t", "th"}
        assert box.locator(".explorer-title").last.inner_text() == "generation 3"
        assert box.locator("svg polyline").get_attribute("points").count(",") == GENERATIONS
        page.keyboard.press("Home")
        assert shown.inner_text() == box.locator("[data-passage=first]").inner_text()
        assert box.locator("svg polyline").get_attribute("points").count(",") == 1
        box.locator("select").select_option(index=1)
        assert shown.inner_text().startswith("<b>x</b><script>")  # text, never markup
        assert shown.locator("b, script").count() == 0
        spans = shown.locator("span")
        assert spans.count() > 1 and not spans.first.get_attribute("class")  # nothing to go by
        assert visit.foreign == []
        if not url.startswith("file:"):  # there the theme's own fonts are refused, with an error
            assert visit.errors == []


def _fits_a_telephone(chromium: Any, url: str) -> None:
    with opened(chromium, url, width=390) as visit:
        assert visit.page.evaluate(OVERFLOW) <= 0
        box = reached(visit.page)
        assert visit.page.evaluate(OVERFLOW) <= 0
        panels = [panel.bounding_box() for panel in box.locator(".explorer-panels > div").all()]
        for above, below in pairwise(panels):
            assert below["y"] >= above["y"] + above["height"]
        for part in box.locator("select, input, p:visible, svg").all():
            place = part.bounding_box()
            assert place["x"] >= 0 and place["x"] + place["width"] <= 390


def _can_be_read_in_both_themes(chromium: Any, url: str) -> None:
    with opened(chromium, url) as visit:
        box = reached(visit.page)
        for theme in ("light", "dark"):
            visit.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            visit.page.wait_for_timeout(600)  # the theme fades
            shades = []
            for text, ground in box.locator(".explorer-note span").evaluate_all(COLOURS):
                bright, dim = sorted((luminance(text), luminance(ground)), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (theme, text, ground)
                shades.append(luminance(ground))
            steps = np.diff(shades) * (1 if theme == "dark" else -1)
            assert len(shades) == 5 and (steps > 0).all()  # in grey too, away from the page's own
            context = {"include": [["#see"]]}
            found = Axe().run(visit.page, context=context).response["violations"]
            assert [(one["id"], [n["html"][:200] for n in one["nodes"]]) for one in found] == []
        moving = "getComputedStyle(s).transitionDuration + getComputedStyle(s).animationName"
        spans = box.locator(".passage span").evaluate_all(f"spans => spans.map(s => {moving})")
        assert set(spans) == {"0snone"}  # nobody needs to ask for less motion


def _stands_still(chromium: Any, url: str, html: Path) -> None:
    with opened(chromium, url) as visit:
        box = reached(visit.page)
        visit.page.emulate_media(media="print")
        assert box.locator("table.strip").is_visible()
        assert not box.locator(".explorer-play").is_visible()
    script = html.parents[1] / "figures/see.js"
    script.unlink()
    with opened(chromium, html.as_uri()) as visit:  # the texts are lost
        visit.page.locator("#see").scroll_into_view_if_needed()
        visit.page.get_by_text("could not be loaded").wait_for(timeout=10_000)
        assert visit.page.locator("#see table.strip").is_visible()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(html.as_uri())
    assert page.locator("#see table.strip").is_visible()
    assert not page.locator("#see form").is_visible()
    context.close()
