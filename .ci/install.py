"""Install the book into .venv, which nothing is ever removed from; `make install` runs this.

A package that a killed installation left half there is installed again, over what is left of it.
"""

import csv
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

VENV = Path(".venv")
MARK = VENV / ".installed"  # holds the hash of what was asked for
SOURCES = (Path("requirements.txt"), Path("lib/pyproject.toml"))


def main():
    """Install what is not there yet; the same requirements install nothing."""
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()
    if MARK.exists() and MARK.read_text() == wanted:
        return
    MARK.unlink(missing_ok=True)
    python = VENV / "bin" / "python"
    if not works(python):
        if sys.version_info < (3, 11):  # noqa: UP036 (this file is what an older one runs)
            sys.exit(
                "This book needs Python 3.11 or newer; name one with: "
                "make PYTHON=/path/to/python3.11"
            )
        run(sys.executable, "-m", "venv", str(VENV))
    for notes in half_installed():
        shutil.rmtree(notes)
    pip = (str(python), "-m", "pip", "install", "--quiet")
    run(*pip, "-r", str(SOURCES[0]))
    run(*pip, "--no-deps", "--no-build-isolation", "-e", "./lib")  # setuptools is pinned, too
    MARK.write_text(wanted)


def works(python):
    """Whether there is a Python with pip."""
    try:
        return not subprocess.run([str(python), "-m", "pip", "-V"], capture_output=True).returncode
    except OSError:
        return False


def run(*command):
    """Run a command, or end with a sentence."""
    if subprocess.run(command).returncode:
        sys.exit(
            f"`{' '.join(command)}` failed, as said above; what is in {VENV} is kept. Mend the "
            "cause (a network, free disk) and give the same command again"
        )


def half_installed():
    """pip's notes on those packages of the book of which a file is missing.

    pip takes a package for whole if there are notes on it, and for absent if there are none.
    """
    text = SOURCES[0].read_text(encoding="utf-8")
    ours = {plain(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    for notes in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if plain(notes.name.split("-")[0]) in ours:
            record = notes / "RECORD"  # written last
            if not record.exists() or any(missing(notes.parent, record)):
                yield notes


def missing(packages, record):
    """For each file of a package whether it is not there."""
    with record.open(encoding="utf-8", newline="") as file:
        for name, *_ in csv.reader(file):
            yield not name.endswith(".pyc") and not (packages / name).exists()


def plain(name):
    """The name of a distribution as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
