"""What several test files share: a cache of their own, and a model and a corpus of toy size."""

import copy
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

# Toy models are slower on two threads than on one; kernels and subprocesses inherit this.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"  # read when `huggingface_hub` is imported

from collapse.experiment import assets, sources
from collapse.experiment.protocol import Protocol
from toy_caches import caching_in, know_toy

if TYPE_CHECKING:
    from collapse.experiment import corpus, models

hypothesis.settings.register_profile("book", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("book")


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which lie the toy's text and model, by name and content."""
    return tmp_path_factory.mktemp("toy-cache")


@pytest.fixture(autouse=True)
def isolated(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    toy_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """No test writes into the checkout's cache or build folder, or asks the model hub."""
    monkeypatch.setenv("COLLAPSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLLAPSE_BUILD", str(tmp_path / "build"))
    if "toy" in request.fixturenames:
        know_toy(tmp_path / "cache", toy_cache)
    if loop := sys.modules.get("collapse.experiment.loop"):  # not imported for the sake of this
        loop._materials.cache_clear()
    yield


WORDS = "rain wind stone river light dark tree bird song road house night day sea fire".split()


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """A corpus of 400 lines: random words, some lines empty."""
    random = np.random.default_rng(0)
    made = [" ".join(random.choice(WORDS, 9)) + " .\n" for _ in range(400)]
    made[7::40] = [" \n"] * len(made[7::40])
    return made


@pytest.fixture(scope="session")
def corpus_file(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus as a text file."""
    path = tmp_path_factory.mktemp("corpus") / "weather.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(lines: list[str]) -> Any:
    """Byte-level BPE that puts `</s>` (token 2) before each text, as OPT's does."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(lines, 300, special_tokens=special, show_progress=False)
    bpe.post_processor = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )


@pytest.fixture(scope="session")
def model_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved OPT of two layers with random weights, and its tokenizer."""
    import torch
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=300, hidden_size=16, word_embed_proj_dim=16, num_hidden_layers=2,
        num_attention_heads=2, ffn_dim=32, max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model") / "toy-opt"
    OPTForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy(corpus_file: Path, model_folder: Path, toy_cache: Path) -> Protocol:
    """A protocol whose generation takes a fraction of a second and downloads nothing."""
    with caching_in(toy_cache):
        text = sources.name_text(str(corpus_file))
        model = sources.name_model(str(model_folder))
    return Protocol(
        corpus=text, model=model, train_blocks=20, eval_blocks=8,
        block_length=8, generations=3, epochs=2, decoding="sample", top_p=0.9, lr=1e-2, lr_end=1e-3,
        batch=8,
    )  # fmt: skip


@pytest.fixture(scope="module")
def base(toy: Protocol, toy_cache: Path) -> "models.Base":
    """The toy model as a run loads it."""
    from collapse.experiment import models

    with caching_in(toy_cache):
        return models.load(toy.model)


@pytest.fixture(scope="module")
def blocks(toy: Protocol, base: "models.Base", toy_cache: Path) -> "corpus.Blocks":
    """The blocks of the toy corpus: 20 to train on, 8 to validate, 8 to test."""
    from collapse.experiment import corpus

    with caching_in(toy_cache):
        return corpus.load_blocks(toy, corpus.load_text(toy.corpus), base.tokenizer)


@pytest.fixture
def fresh(base: "models.Base") -> Any:
    """The toy model, free to be trained."""
    from collapse.experiment import models

    return copy.deepcopy(base.model).to(models.device())


@pytest.fixture
def elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_cache: Path
) -> Callable[[str], None]:
    """Go to another machine: an empty cache and build folder of the given name."""

    from collapse.experiment import loop

    def go(name: str) -> None:
        monkeypatch.setenv("COLLAPSE_CACHE", know_toy(tmp_path / name / "cache", toy_cache))
        monkeypatch.setenv("COLLAPSE_BUILD", str(tmp_path / name / "build"))
        loop._materials.cache_clear()

    return go


# -- the site --------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a book of the test's own; the book that is read and built lies there."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.setattr(assets, "ROOT", folder)
    return folder


@pytest.fixture(scope="session")
def toy_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the toy book, built once to be read: its root; the build is in `_build`."""
    from collapse.book import site
    from toys import at, publish, toy_site

    root = tmp_path_factory.mktemp("toy-pages")
    with at(root):
        build = toy_site(root)
        publish(root)
        site.make(build)
    return root


@pytest.fixture(scope="session")
def smoke_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, every chapter executed at scale `smoke` and all pages built: its build folder.

    The text comes from the ordinary cache, so that it is fetched once; nothing else does.
    """
    from click.testing import CliRunner

    from collapse import cli
    from collapse.experiment import corpus

    build, cache = tmp_path_factory.mktemp("smoke"), tmp_path_factory.mktemp("smoke-cache")
    corpus.load_text("wikitext2")
    (cache / "wikitext2").symlink_to(assets.cache_dir().resolve() / "wikitext2")
    places = {"COLLAPSE_BUILD": str(build), "COLLAPSE_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    done = CliRunner().invoke(cli.main, ["build", "--scale", "smoke"], env=places)
    assert done.exit_code == 0, done.output
    return build
