"""Records: what was written is what is read, and every change to it is found out."""

import dataclasses
import errno
import hashlib
import io
import json
import lzma
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.experiment import assets, packing, provenance, records
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import ARRAYS, Record, RecordError
from collapse.measure import gauges
from collapse.measure.gauges import COLUMNS
from toy_records import make_record


@pytest.fixture
def record() -> Record:
    return make_record(Protocol(generations=4, seed=3))


def same(one: Record, two: Record) -> None:
    assert one.protocol == two.protocol
    pd.testing.assert_frame_equal(one.generations, two.generations, check_exact=True)
    assert one.arrays.keys() == two.arrays.keys()
    for name, array in one.arrays.items():
        assert array.dtype == two.arrays[name].dtype
        assert np.array_equal(array, two.arrays[name])
    for part in ("training", "samples", "base", "corpus", "provenance", "name", "fingerprint"):
        assert getattr(one, part) == getattr(two, part)


def test_what_was_written_is_read(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path)
    assert path == tmp_path / record.name
    assert sorted(file.name for file in path.iterdir()) == [
        "arrays.npz", "gauges.csv", "record.json", "text.npy.xz",
    ]  # fmt: skip
    same(records.read(path), record)
    assert records.list_records(tmp_path) == [path]


def test_numbers_without_a_short_decimal_and_missing_ones_survive(tmp_path: Path) -> None:
    record = make_record(Protocol(generations=2), [math.pi * 1e17, 1 / 3])
    record.generations.loc[0, "test_perplexity_low"] = math.nan
    same(records.read(records.write(record, tmp_path)), record)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "beam5-5ep"),
        ({"decoding": "sample"}, "sample-5ep"),
        ({"decoding": "sample", "top_p": 0.9}, "sample-p0.9-5ep"),
        ({"decoding": "sample", "temperature": 0.7}, "sample-t0.7-5ep"),
        ({"decoding": "sample", "temperature": 0.7, "top_p": 0.95}, "sample-t0.7-p0.95-5ep"),
        ({"decoding": "greedy", "temperature": 0.7}, "greedy-5ep"),
        ({"beams": 3, "repetition_penalty": 1.2}, "beam3-penalty1.2-5ep"),
        ({"eos": "allow"}, "beam5-eos-5ep"),
    ],
)
def test_the_name_tells_the_arm_and_how_the_text_is_written_and_ends_with_the_hash(
    changes: dict[str, Any], words: str
) -> None:
    protocol = Protocol(generations=2, **changes)
    name = make_record(protocol).name
    assert name == f"wikitext2-opt-125m-{words}-0pct-s{protocol.seed}-{protocol.hash}"
    assert records.is_name(name)


def test_writing_twice_is_writing_once(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path / "records")
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}
    assert records.write(record, tmp_path / "records") == path
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}
    assert after == before
    assert list((tmp_path / "records").iterdir()) == [path]


def test_another_result_of_the_same_protocol_replaces_the_record(tmp_path: Path) -> None:
    protocol = Protocol(generations=2)
    records.write(make_record(protocol, [1.0, 2.0]), tmp_path / "records")
    path = records.write(make_record(protocol, [1.0, 3.0]), tmp_path / "records")
    assert records.read(path).generations["test_perplexity"].tolist() == [1.0, 3.0]
    assert list((tmp_path / "records").iterdir()) == [path]


def test_a_damaged_record_is_replaced_by_a_whole_one(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path)
    (path / "arrays.npz").write_bytes(b"")
    records.write(record, tmp_path)
    same(records.read(path), record)


# -- damage ----------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(RecordError) as caught:
        records.read(path)
    said = str(caught.value)
    assert path.name in said and "\n" not in said
    return said


@pytest.mark.parametrize("name", ["record.json", "text.npy.xz", "arrays.npz"])
def test_a_missing_file_is_named_and_a_truncated_one_refused(
    record: Record, tmp_path: Path, name: str
) -> None:
    path = records.write(record, tmp_path)
    content = (path / name).read_bytes()
    for kept in (0.0, 0.3, 0.9, 0.999):
        (path / name).write_bytes(content[: int(len(content) * kept)])
        refused(path)
    (path / name).unlink()
    assert f"has no {name}" in refused(path)


@pytest.mark.parametrize("name", ["record.json", "text.npy.xz", "arrays.npz"])
def test_a_flipped_bit_is_refused_wherever_it_is(record: Record, tmp_path: Path, name: str) -> None:
    path = records.write(record, tmp_path)
    content = (path / name).read_bytes()
    provenance = content.find(b'"provenance"')  # what follows is of no consequence
    length = provenance if name == "record.json" else len(content)
    for place in np.random.default_rng(0).integers(0, length, 60):
        damaged = bytearray(content)
        damaged[place] ^= 4
        (path / name).write_bytes(bytes(damaged))
        refused(path)


def change_head(path: Path, change: dict[str, Any], drop: str = "") -> None:
    head = json.loads((path / "record.json").read_text())
    head = {key: value for key, value in {**head, **change}.items() if key != drop}
    (path / "record.json").write_text(json.dumps(head))


def test_a_changed_protocol_base_corpus_or_sample_is_refused(
    record: Record, tmp_path: Path
) -> None:
    for part in (
        {"protocol": record.protocol.replace(seed=4).to_dict()},
        {"base": {**record.base, "zero_shot_perplexity": 1.0}},
        {"corpus": {}},
        {"samples": []},
    ):
        path = records.write(record, tmp_path)
        change_head(path, part)
        assert "was changed after it was written" in refused(path)


def test_an_unknown_schema_is_refused(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path)
    change_head(path, {"schema": 1})
    assert "has schema 1; this version reads schema 3" in refused(path)


def test_a_head_without_one_of_its_keys_is_refused(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path)
    keys = list(json.loads((path / "record.json").read_text()))
    assert len(keys) == 11
    for key in keys:
        records.write(record, tmp_path)
        change_head(path, {}, drop=key)
        assert f"lacks {key!r}" in refused(path)


@pytest.mark.parametrize("name", ["text", "test_nll", "sample_nll", "human_counts"])
def test_a_missing_array_or_one_of_another_type_or_length_is_named(
    record: Record, tmp_path: Path, name: str
) -> None:
    changes = [record.arrays[name].astype(np.float64)]
    if ARRAYS[name][0] > 1:
        changes.append(record.arrays[name][:-1])
    others = {key: value for key, value in record.arrays.items() if key != name}
    for arrays in [others] * (name != "text") + [{**others, name: array} for array in changes]:
        path = records.write(dataclasses.replace(record, arrays=arrays), tmp_path)
        assert f"has no array {name!r}" in refused(path)


@pytest.mark.parametrize("name", ["text", "test_nll"])
def test_what_the_checksums_of_files_do_not_see_is_seen(
    record: Record, tmp_path: Path, name: str
) -> None:
    path = records.write(record, tmp_path)
    changed = {**record.arrays, name: record.arrays[name].copy()}
    changed[name].flat[0] += 1
    files = packing.pack(changed)
    for file, content in files.items():
        (path / file).write_bytes(content)
    change_head(path, {"files": {k: hashlib.sha256(v).hexdigest() for k, v in files.items()}})
    assert "its fingerprint differs" in refused(path)


# -- text, and gauges that are derived ----------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [11, 2**16, 2**16 + 1, 250_000])
def test_a_text_is_packed_without_loss_and_small(vocabulary: int) -> None:
    shares = 1 / np.arange(1, vocabulary + 1)
    drawn = np.random.default_rng(0).choice(vocabulary, (3, 64, 32), p=shares / shares.sum())
    drawn[0, 0, 0] = vocabulary - 1
    text = packing.tokens(drawn.astype(np.int32), vocabulary)
    assert text.itemsize == (2 if vocabulary <= 2**16 else 4)
    files = packing.pack({"text": text, "x": np.arange(3)})
    unpacked = packing.unpack(files)
    assert np.array_equal(unpacked["text"], drawn) and unpacked["text"].dtype == text.dtype
    assert unpacked["x"].tolist() == [0, 1, 2]
    # Anyone can read it: a NumPy file in an xz archive.
    plain = np.load(io.BytesIO(lzma.open(io.BytesIO(files[packing.TEXT])).read()))
    assert np.array_equal(plain, drawn)
    assert len(files[packing.TEXT]) < text.nbytes


def test_contents_do_not_depend_on_the_order_of_bytes_or_of_axes_in_memory() -> None:
    array = np.arange(12, dtype="<f4").reshape(3, 4)
    swapped = np.asfortranarray(array)
    [kind, shape, sha256] = packing.contents({"x": array})["x"]
    assert packing.contents({"x": swapped})["x"] == [kind, shape, sha256]
    assert (kind, shape) == ("float32", [3, 4])
    assert sha256 == hashlib.sha256(array.tobytes()).hexdigest()


def test_gauges_come_from_the_facts_alone(record: Record, tmp_path: Path) -> None:
    plain = dataclasses.replace(record, table=None)
    found = records.read(records.write(plain, tmp_path))
    pd.testing.assert_frame_equal(found.generations, plain.generations)
    assert list(found.generations) == list(COLUMNS)
    nll = record.arrays["test_nll"].astype(float)
    assert found.generations["test_perplexity"].to_numpy() == pytest.approx(np.exp(nll.mean(1)))
    writable = record.arrays["test_nll_writable"].astype(float).sum(1) / 30
    assert found.generations["test_perplexity_no_eos"].to_numpy() == pytest.approx(np.exp(writable))
    bits = nll.sum(1) * 7 / 100 / math.log(2)  # seven tokens of a block are predicted
    assert found.generations["bits_per_byte"].to_numpy() == pytest.approx(bits)
    assert found.generations["human_share"].tolist() == [n / 7 for n in range(4)]
    assert found.generations["valid_perplexity"].tolist() == pytest.approx([math.exp(3.25)] * 4)
    distinct = [len(np.unique(text)) for text in record.text]
    assert found.generations["distinct_tokens"].tolist() == distinct


def test_a_gauge_that_is_new_is_computed_from_the_facts_until_the_record_is_written_again(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, computed = records.write(record, tmp_path), []

    def longest(of: gauges.Facts) -> float:
        computed.append(1)
        return float(of["text"].max())

    new = gauges.Gauge("largest token", "", r"\max", "", "nothing", gauges.NONE, longest)
    monkeypatch.setitem(gauges.GAUGES, "largest", new)
    monkeypatch.setattr(gauges, "COLUMNS", COLUMNS | {"largest": "largest token"})
    for _ in range(2):
        found = records.read(path).generations
        assert found["largest"].tolist() == record.text.max((1, 2)).tolist()
        pd.testing.assert_frame_equal(found[list(COLUMNS)], record.generations)
    assert len(computed) == 8
    records.write(records.read(path), tmp_path)
    computed.clear()
    assert records.read(path).generations.equals(found)
    assert computed == []


@pytest.mark.parametrize("damage", [None, b"", b"generation\n0\n", b"\xff\x00"])
def test_a_damaged_table_is_computed_again_and_said_and_is_no_damaged_record(
    record: Record, tmp_path: Path, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = dataclasses.replace(record, table=None)
    path = records.write(whole, tmp_path)
    written = (path / records.TABLE).read_bytes()
    if damage is None:
        (path / records.TABLE).unlink()
    else:
        (path / records.TABLE).write_bytes(damage)
    for _ in range(2):
        pd.testing.assert_frame_equal(records.read(path).generations, whole.generations)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1 and f"gauges.csv of record {path.name} is not there or was" in told[0]
    records.write(records.read(path), tmp_path)  # to write it again mends it
    assert (path / records.TABLE).read_bytes() == written


# -- fingerprints and finding ----------------------------------------------------------------


def test_where_and_when_it_was_computed_is_no_part_of_the_fingerprint(record: Record) -> None:
    elsewhere = {**record.provenance, "device": "another", "date": "2030-01-01T00:00:00Z"}
    moved = Record(**{**vars(record), "provenance": elsewhere})
    assert moved.provenance != record.provenance
    assert moved.fingerprint == record.fingerprint


def test_a_shorter_chain_is_found_in_a_longer_one(tmp_path: Path) -> None:
    long = make_record(Protocol(generations=5, seed=1))
    records.write(long, tmp_path)
    wanted = long.protocol.replace(generations=2)
    found = records.find(wanted, tmp_path)
    assert found is not None
    assert found.protocol == wanted
    assert found.generations.equals(long.generations.iloc[:2])
    assert np.array_equal(found.text, long.text[:2])
    assert np.array_equal(found.text_counts, long.text_counts[:2])
    assert found.samples[0]["generations"] == ["text 0", "text 1"]
    assert found.provenance["seconds"] == [1.5, 1.5]
    same(records.read(records.write(found, tmp_path / "cut")), found)


def test_a_shorter_chain_is_found_in_a_longer_one_whose_shares_are_a_schedule(
    tmp_path: Path,
) -> None:
    schedule = [0.9, 0.8, 0.7, 0.6]
    long = make_record(Protocol(generations=5, retained=0.0, schedule=schedule))
    records.write(long, tmp_path)
    for generations in (2, 3):
        found = records.find(long.protocol.replace(generations=generations), tmp_path)
        assert found is not None and found.generations.equals(long.generations.iloc[:generations])


def test_a_longer_chain_another_seed_or_another_arm_is_not_found(tmp_path: Path) -> None:
    protocol = Protocol(generations=3)
    records.write(make_record(protocol), tmp_path)
    assert records.find(protocol, tmp_path) is not None
    for change in ({"generations": 4}, {"seed": 1}, {"epochs": 10}):
        assert records.find(protocol.replace(**change), tmp_path) is None
    assert records.find(protocol, tmp_path / "nowhere") is None


def test_a_damaged_record_is_not_found_silently(record: Record, tmp_path: Path) -> None:
    path = records.write(record, tmp_path)
    (path / "arrays.npz").write_bytes(b"x")
    with pytest.raises(RecordError, match=record.name):
        records.find(record.protocol, tmp_path)


def test_of_runs_that_begin_alike_the_longest_is_published(tmp_path: Path) -> None:
    build, root = tmp_path / "build", tmp_path / "root"
    long = make_record(Protocol(generations=4, seed=1))
    other = make_record(Protocol(generations=2, seed=2))
    records.write(long.truncated(2), root / "records")  # published earlier
    for record in (long, long.truncated(3), other):
        records.write(record, build / "records")
    assert records.publish(build, root) == sorted([long.name, other.name])
    found = [path.name for path in records.list_records(root / "records")]
    assert found == sorted([long.name, other.name])


# -- replacements, leftovers, and what is none of the book's ------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> tuple[Record, Record, Path]:
    """Two results of one protocol, the first stored, and the folder."""
    protocol = Protocol(generations=2)
    old, new = make_record(protocol, [1.0, 2.0]), make_record(protocol, [1.0, 3.0])
    records.write(old, tmp_path / "records")
    return old, new, tmp_path / "records"


def test_a_replacement_stopped_between_its_steps_leaves_the_old_one(
    two: tuple[Record, Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, folder = two

    def stopped(*_: object) -> None:
        assert not (folder / old.name).exists()  # between the two steps
        raise KeyboardInterrupt

    for reader in (
        lambda: records.find(old.protocol, folder),
        lambda: records.read(folder / old.name),
        lambda: records.read(records.list_records(folder)[0]),
    ):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "replace", stopped)
            records.write(new, folder)
        assert reader().fingerprint == old.fingerprint
        assert [path.name for path in folder.iterdir()] == [old.name]
    records.write(new, folder)
    assert records.read(folder / new.name).fingerprint == new.fingerprint
    assert [path.name for path in folder.iterdir()] == [new.name]


def test_a_replacement_that_the_disk_refuses_is_told_and_leaves_the_old_one(
    two: tuple[Record, Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, folder = two

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(AssetError, match="No space left"):
        patch.setattr(os, "replace", full)
        records.write(new, folder)
    assert records.read(folder / old.name).fingerprint == old.fingerprint
    assert [path.name for path in folder.iterdir()] == [old.name]


def test_files_and_folders_are_on_the_disk_before_they_have_their_names(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def syncing(number: int) -> None:
        (name,) = (
            str(path) for path in (tmp_path, *tmp_path.rglob("*"))
            if path.exists() and os.path.samestat(path.stat(), os.fstat(number))
        )  # fmt: skip
        done.append(Path(name).name)
        fsync(number)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", lambda *args: (done.append("renamed"), replace(*args)))
    records.write(record, tmp_path / "records")
    before, after = done[: done.index("renamed")], done[done.index("renamed") + 1 :]
    assert set(before[:-1]) == {"record.json", "gauges.csv", "arrays.npz", "text.npy.xz"}
    assert before[-1].endswith(".part") and after == ["records"]


def test_a_record_that_was_not_yet_in_its_place_is_not_seen(record: Record, tmp_path: Path) -> None:
    build = tmp_path / "build" / "records"
    path = records.write(record, build)
    path.rename(build / f".{path.name}.12.part")
    assert records.list_records(build) == []
    assert records.find(record.protocol, build) is None
    assert records.publish(tmp_path / "build", tmp_path) == []


@pytest.mark.parametrize("damage", ["head", "arrays", "no text"])
def test_a_damaged_record_of_the_build_is_named_once_and_passed_over(
    record: Record, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_record(record.protocol.replace(seed=4))
    broken, _ = records.write(record, records.built()), records.write(other, records.built())
    if damage == "no text":
        (broken / "text.npy.xz").unlink()
    else:
        (broken / {"head": "record.json", "arrays": "arrays.npz"}[damage]).write_bytes(b"{")
    for _ in range(2):
        same(records.find(other.protocol, records.built()), other)
        assert records.find(record.protocol, records.built()) is None
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1 and f"{broken} may be removed" in told[0]
    # A published one is a mistake, and is computed again by nobody unasked.
    records.write(record, tmp_path / "published")
    (tmp_path / "published" / record.name / "arrays.npz").write_bytes(b"{")
    with pytest.raises(RecordError, match=record.name):
        records.find(record.protocol, tmp_path / "published")


def test_foreign_folders_are_passed_over_and_all_damaged_records_are_named(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "records"
    monkeypatch.setattr(records, "published", lambda: folder)
    first, last = (record.protocol.replace(seed=seed) for seed in (1, 9))
    paths = {
        seed: records.write(make_record(record.protocol.replace(seed=seed)), folder)
        for seed in (1, 3, 9)
    }
    for name in ("my notes", ".Trash", "a-copy"):
        (folder / name).mkdir()
        (folder / name / "record.json").write_text("not one")
    (folder / "file.txt").write_text("mine")
    assert records.find(last, folder) is not None
    done = CliRunner().invoke(cli.main, ["verify"])
    assert done.exit_code == 0 and "my notes" not in done.output
    assert done.output.endswith("3 verified\n")
    monkeypatch.chdir(paths[1])
    here = CliRunner().invoke(cli.main, ["verify", "."])
    assert here.exit_code == 0 and here.output.endswith("1 verified\n")
    for seed in (1, 3):
        (paths[seed] / "text.npy.xz").unlink()
    done = CliRunner().invoke(cli.main, ["verify"])
    assert done.exit_code != 0 and "1 verified" in done.output
    assert all(f"{paths[seed].name}: record" in done.output for seed in (1, 3))
    assert records.list_records(folder) == sorted(paths.values())
    with pytest.raises(RecordError):
        records.find(first, folder)


def test_a_clone_with_windows_line_ends_reads_every_kind_of_file_as_it_was(
    record: Record, tmp_path: Path
) -> None:
    def git(*arguments: str, where: Path) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=true"]
        subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True)

    origin = tmp_path / "origin"
    path = records.write(record, origin / "records")
    for name in (".gitattributes", "Makefile", "records/bench-cpu.json", "records/results.png"):
        (origin / name).write_bytes((assets.ROOT / name).read_bytes())
    git("init", where=origin)
    git("add", ".", where=origin)
    git("commit", "-m", "all", where=origin)
    git("clone", str(origin), "clone", where=tmp_path)
    same(records.read(tmp_path / "clone" / "records" / path.name), record)
    for file in origin.rglob("*"):
        if file.is_file() and ".git" not in file.parts:
            assert (tmp_path / "clone" / file.relative_to(origin)).read_bytes() == file.read_bytes()


# -- those in the repository, and recoveries -----------------------------------------------------


COMMITTED = records.list_records(records.published())


def test_committed_records_are_whole_small_and_one_a_run() -> None:
    found = []
    for path in COMMITTED:
        record = records.read(path)
        assert path.name == record.name
        assert sum(file.stat().st_size for file in path.iterdir()) <= 2**20, path.name
        found.append((record.protocol.arm_hash, record.protocol.seed))
    assert len(set(found)) == len(found)


def test_a_recovery_is_recorded_with_its_epochs_and_never_cut_to_length(tmp_path: Path) -> None:
    plain = Protocol(generations=3, train_blocks=9)
    mended = plain.replace(recovery=8)
    record = make_record(mended)
    arrays = {**record.arrays, "recovery_nll": np.ones(5, np.float32)}
    with pytest.raises(RecordError, match="has no array 'recovery_nll' of float32 with 1 axes"):
        records.read(records.write(record, tmp_path / "without"))
    record = dataclasses.replace(record, arrays=arrays)
    path = records.write(record, tmp_path)
    assert "-mended-8-" in path.name
    same(records.find(mended, tmp_path), record)
    assert records.find(mended.replace(generations=2), tmp_path) is None
    assert records.find(plain, tmp_path) is None


def test_publishing_a_recovery_leaves_shorter_ones_alone(tmp_path: Path) -> None:
    for generations in (2, 3):
        record = make_record(Protocol(generations=generations, train_blocks=9, recovery=8))
        record.arrays["recovery_nll"] = np.ones(5, np.float32)
        records.write(record, tmp_path / "build" / "records")
    assert len(records.publish(tmp_path / "build", tmp_path)) == 2
    assert len(records.list_records(tmp_path / "records")) == 2
    assert len(records.publish(tmp_path / "build", tmp_path)) == 2
    assert len(records.list_records(tmp_path / "records")) == 2


def test_a_copy_inside_another_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    identity = ["-c", "user.name=x", "-c", "user.email=x@y"]
    made = ["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(made, cwd=tmp_path, check=True)
    inside = tmp_path / "unpacked"
    inside.mkdir()
    commit = provenance.commit.__wrapped__  # without its cache
    for root, known in ((tmp_path, True), (inside, False)):
        monkeypatch.setattr(provenance, "ROOT", root.resolve())
        assert (commit() is not None) == known
