"""All tests as two processes side by side, without a network; `make test` runs this.

Each line says which of the two it is from. The exit status is not 0 if either fails.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

# Pages and the command line take about as long as all else.
PAGES = ("tests/book", "tests/test_mistakes.py")
PARTS = {"pages": PAGES, "loop": ("tests", *(f"--ignore={path}" for path in PAGES))}
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def main():
    """Run both parts and wait for them; a signal ends both, and what they have started."""
    # Ctrl-C too: a shell starts its background jobs with that signal ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    running = {name: start(paths) for name, paths in PARTS.items()}
    tellers = [threading.Thread(target=tell, args=part) for part in running.items()]
    try:
        for teller in tellers:
            teller.start()
        ended = {name: process.wait() for name, process in running.items()}
        for teller in tellers:
            teller.join()
    except KeyboardInterrupt:
        end(running.values())
        sys.exit(130)
    failed = [name for name, status in ended.items() if status]
    sys.exit(f"tests failed: {' and '.join(failed)}" if failed else 0)


def start(paths):
    """One part, in a process group of its own, so that its end is the end of all it started."""
    # Two runs of pytest would clear away each other's notes on what failed.
    command = (sys.executable, "-u", "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)
    return subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def tell(name, process):
    """Print what a part says as it comes, a line at a time."""
    for line in process.stdout:
        print(f"{name} | {line}", end="", flush=True)


def end(processes):
    """End parts as Ctrl-C would, and by force where they go on for twenty seconds."""
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(20)


if __name__ == "__main__":
    main()
