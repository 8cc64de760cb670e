"""Where and with what a run was computed: for its record, and for finding finished generations."""

import datetime
import functools
import hashlib
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from collapse import __version__
from collapse.experiment import devices
from collapse.experiment.assets import ROOT


@functools.cache
def numerics() -> dict[str, str]:
    """What else than the protocol decides a generation's bits: code, versions, kind of device."""
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    # The instructions of a processor decide the order of sums.
    processor = f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "code": code.hexdigest(),
        "torch": torch.__version__,
        **{name: version(name) for name in ("numpy", "scipy", "tokenizers", "transformers")},
        "device": device_name() if torch.cuda.is_available() else processor,
        "threads": str(torch.get_num_threads()),
    }


def place() -> dict[str, str | None]:
    """Where and with what commit a generation is computed."""
    return {"commit": commit(), "device": device_name()}


def describe(
    scale: str, seconds: list[float], places: Sequence[dict[str, str | None]] = ()
) -> dict[str, Any]:
    """The provenance of a record: of each generation the seconds that it took, and its `place`.

    Places are told only if one is not this one.
    """
    packages = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas")
    return {
        "scale": scale,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **place(),
        "threads": torch.get_num_threads(),
        "processes": devices.processes(),
        "python": platform.python_version(),
        "versions": {"collapse": __version__, **{name: version(name) for name in packages}},
        "seconds": seconds,
        **({"places": list(places)} if any(one != place() for one in places) else {}),
    }


@functools.cache
def commit() -> str | None:
    """The commit of the checkout, `+` if it was changed since; a pack states its own.

    None outside of git, and for a copy without its history inside another repository.
    """
    with suppress(FileNotFoundError):
        return (ROOT / "COMMIT").read_text().strip() or None
    command = ["git", f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", "describe"]
    command += ["--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return None


@functools.cache
def device_name() -> str:
    """The GPU's name, else the processor's with its number of usable cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # not Linux, or a processor without a name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line for line in lines if line.startswith("model name")).partition(":")[2]
    return f"{name.strip()}, {torch.get_num_threads()} threads"
