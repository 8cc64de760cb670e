"""`make audit`: what Lighthouse and a validator of HTML say of the pages that were built.

Both come from npm at the versions below, are kept by npm outside of the repository, and need a
network the first time. The pages are served compressed, as hosts do it.
"""

import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from collapse.book import site
from collapse.experiment.assets import build_dir

LIGHTHOUSE, VALIDATOR = "lighthouse@12.8.2", "html-validate@9.7.1"
PAGE = "chapters/how-much-human-text.html"  # a chapter with figures, formulas and a slider
LEAST = {"performance": 85, "accessibility": 100, "best-practices": 100, "seo": 100}
TRIES = 3  # a busy machine is slow by chance
MADE_BY_SPHINX = ("genindex.html", "search.html")
# What the theme does, and matters of style: not errors of a page.
FREE = (
    "attribute-boolean-style", "long-title", "no-implicit-button-type", "no-inline-style",
    "no-redundant-role", "no-trailing-whitespace", "prefer-native-element", "text-content",
    "unique-landmark", "void-style", "wcag/h32",
)  # fmt: skip


def main():
    """Audit one chapter and validate all pages; return the exit status."""
    html, chromium = build_dir() / "html", site.browser()
    if not (html / PAGE).is_file():
        return told(f"{PAGE} is not built; run `make book` first")
    if not shutil.which("npx") or not chromium:
        return told("this needs npm (Node.js 20 or newer) and Chromium; install them")
    with tempfile.TemporaryDirectory() as folder:
        wrong = [*invalid(html, Path(folder)), *poor(html, chromium, Path(folder))]
    for one in wrong:
        print(one)
    return 1 if wrong else 0


def told(mistake):
    """Say what is missing; return the exit status of a mistake."""
    print(f"Error: {mistake}", file=sys.stderr)
    return 2


def npx(tool, *arguments, **how):
    """Run a tool of npm."""
    return subprocess.run(["npx", "--yes", tool, *map(str, arguments)], **how).returncode


def invalid(html, folder):
    """A line for each error of a page's HTML."""
    rules, report = folder / "rules.json", folder / "report.json"
    off = dict.fromkeys(FREE, "off")
    said = {"root": True, "extends": ["html-validate:standard"], "rules": off}
    rules.write_text(json.dumps(said))
    pages = [
        page
        for page in sorted(html.rglob("*.html"))
        if page.name not in MADE_BY_SPHINX and "_static" not in page.parts
    ]
    with report.open("w") as file:  # a pipe would be cut off
        npx(VALIDATOR, "--config", rules, "--formatter", "json", *pages, stdout=file)
    found = json.loads(report.read_text())
    print(f"{len(pages)} pages validated")
    for page in found:
        name = Path(page["filePath"]).relative_to(html.resolve())
        yield from (f"{name}:{one['line']}: {one['message']}" for one in page["messages"])


def poor(html, chromium, folder):
    """A line for each score below what is asked, with the audits that lower it."""
    report = folder / "lighthouse.json"
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage"
    asked = ("--quiet", "--output=json", f"--output-path={report}", flags)
    handler = functools.partial(Compressed, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # a browser that hears enough
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{PAGE}"
        for _ in range(TRIES):
            npx(LIGHTHOUSE, address, *asked, env=os.environ | {"CHROME_PATH": str(chromium)})
            lines = list(below(json.loads(report.read_text())))
            if not lines:
                break
        server.shutdown()
    return lines


def below(found):
    """Scores that are too low in a report of Lighthouse; all are printed."""
    for name, least in LEAST.items():
        score = round(100 * (found["categories"][name]["score"] or 0))
        print(f"{PAGE}: {name} {score} of 100")
        if score < least:
            audits = (found["audits"][one["id"]] for one in found["categories"][name]["auditRefs"])
            low = [one["title"] for one in audits if (one["score"] or 1) < 0.9 or one["score"] == 0]
            yield f"{PAGE}: {name} {score}, {least} are asked: {'; '.join(low)}"


class Compressed(SimpleHTTPRequestHandler):
    """A file server that compresses, and says nothing."""

    def do_GET(self):
        """Answer with a file, or say that there is none."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Nothing."""


if __name__ == "__main__":
    sys.exit(main())
