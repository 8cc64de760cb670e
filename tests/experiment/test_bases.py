"""The bases in `records/bases/`: every byte is checked, and half precision is read exactly."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from collapse.experiment import assets, bases, models, records
from collapse.experiment.assets import AssetError

FILES = ["config.json", "curve.csv", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture(params=bases.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of `mini` in another checkout."""
    folder = shutil.copytree(bases.folder("mini"), tmp_path / "records" / "bases" / "mini")
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    return Path(folder)


def test_a_base_is_the_published_weights_in_float32(name: str) -> None:
    base = models.load(name)
    stored = load_file(bases.folder(name) / "model.safetensors")
    loaded = base.model.state_dict()
    assert set(loaded) - set(stored) <= {"lm_head.weight"}  # it is the embedding
    for key, half in stored.items():
        assert half.dtype == torch.float16 and loaded[key].dtype == torch.float32
        assert torch.equal(loaded[key], half.float()) and torch.equal(loaded[key].half(), half)
    assert not base.model.training
    assert base.model.config.vocab_size == len(base.tokenizer)
    assert models.tokenizer(name).get_vocab() == base.tokenizer.get_vocab()


def test_a_base_is_known_by_its_weights_and_its_text(name: str) -> None:
    base = models.load(name)
    content = (bases.folder(name) / "model.safetensors").read_bytes()
    about = json.loads((bases.folder(name) / bases.ABOUT).read_text())
    assert base.identity == {
        "pretrained on": about["pretrained on"],
        "sha256:model.safetensors": hashlib.sha256(content).hexdigest(),
    }
    assert base.name.startswith(f"{name} OPT (") and "State of the Union" in about["pretrained on"]


def test_every_published_file_is_checked(name: str) -> None:
    listed = set(bases.about(name)["files"])
    assert listed == {path.name for path in bases.folder(name).iterdir()} - {bases.ABOUT}
    assert listed >= set(FILES)


def test_a_base_loaded_twice_is_the_same_and_neither_shares_memory() -> None:
    one, two = models.load("mini"), models.load("mini")
    first, second = one.model.state_dict(), two.model.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert one.identity == two.identity
    key = "model.decoder.final_layer_norm.bias"
    first[key].add_(1)
    assert not torch.equal(first[key], second[key])
    assert torch.equal(models.load("mini").model.state_dict()[key], second[key])


@pytest.mark.parametrize("file", FILES)
def test_a_base_of_which_one_bit_has_flipped_is_refused_by_name(file: str, copied: Path) -> None:
    whole = (copied / file).read_bytes()
    (copied / file).write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(AssetError) as refused:
        bases.verified("mini")
    said = str(refused.value)
    assert said.startswith(
        f"{file} of the base mini is not as it was published (its SHA-256 is another)"
    )
    assert said.endswith("git checkout -- records/bases/mini") and "\n" not in said


def test_a_base_without_one_of_its_files_is_refused_by_name(copied: Path) -> None:
    for file in [*FILES, bases.ABOUT]:
        content = (copied / file).read_bytes()
        (copied / file).unlink()
        with pytest.raises(AssetError, match=f"{file} of the base mini .* No such file"):
            models.load("mini")
        (copied / file).write_bytes(content)
    assert models.load("mini").parameters


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', "version https://git-lfs"])
def test_a_damaged_list_of_files_is_refused(content: str, copied: Path) -> None:
    (copied / bases.ABOUT).write_text(content)
    with pytest.raises(AssetError, match=r"base\.json of the base mini is not as it was published"):
        models.load("mini")


def test_the_end_token_stands_before_each_line(name: str) -> None:
    tokenizer = models.tokenizer(name)
    start = tokenizer.eos_token_id
    rain, empty = tokenizer(["rain\n", ""])["input_ids"]
    assert rain[0] == start and len(rain) > 1 and empty == [start]


def test_bases_are_no_records() -> None:
    assert all("bases" not in path.parts for path in records.list_records(records.published()))
