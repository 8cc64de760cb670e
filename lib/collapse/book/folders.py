"""The folders of a build and of the cache: seen to before anything is computed, emptied by name.

A folder that the user names may hold other things, so the book builds only into one that was
empty, absent or its own, and removes only what it made there. `make clean` and `make serve` run
this file.
"""

import contextlib
import functools
import http.server
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from collapse.errors import BookError
from collapse.experiment import assets
from collapse.experiment.assets import AssetError, build_dir, cache_dir, locked

MARK = ".made-by-the-book"
OWN = r"executed|records|comparisons|recompute|bench-\w+\.json"  # names that are hardly another's
MADE = OWN + r"|bases|figures|book|print|html|html\.old|notebooks|release|book\.pdf|\.probe-.*"
GENERATION = r"\.?[0-9a-f]{12,64}(\..*)?"
LEFT = ("Thumbs.db", "desktop.ini", "Icon\r")  # by file managers, besides `.DS_Store`
LONGEST = 200  # bytes of a file's name, with what marks it as unfinished


def ready() -> None:
    """See that build folder and cache can be used, before anything is computed for them.

    Raises:
        AssetError: one cannot be written or holds other things, or there is no home folder.
    """
    if os.path.expanduser("~") == "~":  # libraries would make a folder of that name
        raise AssetError(
            "the home folder of this user cannot be determined; set HOME to a folder that can be "
            "written"
        )
    claim(build_dir())
    _check_writable(cache_dir(), "COLLAPSE_CACHE")


def claim(build: Path) -> None:
    """Mark a folder as one of builds, whose parts the book may replace.

    Raises:
        AssetError: it cannot be written, or holds other things.
    """
    _check_writable(build, "COLLAPSE_BUILD")
    _check_own(build)
    (build / MARK).touch()


def _check_own(build: Path) -> None:
    seen = {path.name for path in build.iterdir()}
    if MARK in seen or build.resolve() == assets.ROOT / "_build":
        return
    seen = {name for name in seen if not name.startswith(".")}
    foreign = sorted(name for name in seen if not re.fullmatch(MADE, name))
    if foreign or (seen and not any(re.fullmatch(OWN, name) for name in seen)):
        raise AssetError(
            f"the folder {build} holds {(foreign or sorted(seen))[0]!r}, which this book did not "
            "make and might replace; name a new or an empty folder with COLLAPSE_BUILD"
        )


def _check_writable(folder: Path, variable: str) -> None:
    probe = folder / f".probe-{uuid.uuid4()}".ljust(LONGEST, "-")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.mkdir()
        (probe / "gauges.csv").touch()
    except OSError as error:
        raise AssetError(
            f"the folder {folder} cannot be used ({error.strerror}); mend it, or name another "
            f"with {variable}"
        ) from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def shown(folder: Path) -> list[Path]:
    """The files in a folder and below, but for hidden ones and what file managers leave."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name not in LEFT
    )


@contextlib.contextmanager
def alone(build: Path) -> Iterator[None]:
    """Nobody else builds, prints or packs the pages of a build folder meanwhile; one waits.

    Raises:
        AssetError: as `claim`.
    """
    claim(build)
    with locked(build, f"another command is at the pages in {build}; waiting for it ..."):
        yield


def clean() -> None:
    """Remove what the book made in the build folder, and the finished generations.

    Raises:
        AssetError: the build folder is not one.
    """
    build, generations = build_dir(), cache_dir() / "generations"
    if build.is_dir():
        _check_own(build)
        _empty(build, MADE)
    if generations.is_dir():
        _empty(generations, GENERATION)
    print(f"Kept: {cache_dir()} (downloads) and .venv; remove them by hand if you want to.")


def _empty(folder: Path, names: str) -> None:
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MARK):  # the mark at last
        if re.fullmatch(names, path.name) or path.name == MARK:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if left := sorted(path.name for path in folder.iterdir()):
        print(f"Kept: {folder}, for it holds {left[0]!r}, which this book did not make.")
    elif not folder.is_symlink():
        folder.rmdir()


def serve(port: str) -> None:
    """Show the pages at a port of this machine, until Ctrl-C.

    Raises:
        AssetError: there are no pages, or the port cannot be had.
    """
    html = build_dir() / "html"
    if not (html / "index.html").exists():
        raise AssetError("there are no pages yet; run `make book` first")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=html)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    except (ValueError, OverflowError, OSError) as error:
        raise AssetError(
            f"port {port} cannot be had ({error}); choose another: make serve PORT=8765"
        ) from error
    print(f"http://localhost:{server.server_port}/  (Ctrl-C stops)", flush=True)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()


if __name__ == "__main__":
    try:
        clean() if sys.argv[1] == "clean" else serve(*sys.argv[2:])
    except (BookError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
