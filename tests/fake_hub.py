"""A model hub of one model on a local port: what `huggingface_hub` asks for, and no more."""

import hashlib
import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_server import running

COMMIT, LATER = "a" * 40, "b" * 40


@contextmanager
def serve(
    name: str,
    folder: Path,
    claimed: dict[str, str] | None = None,
    moves: bool = False,
    gated: bool = False,
    page: bytes | None = None,
) -> Iterator[str]:
    """Serve a folder as model `name`; yield the endpoint.

    Args:
        claimed: SHA-256 to claim for a file, in place of the true one.
        moves: after the first question, the newest revision is `LATER`.
        gated: the files are not for everybody.
        page: what every question is answered with, in place of the hub.
    """
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    sha256 |= claimed or {}
    asked: list[str] = []  # about the model as a whole

    class Hub(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            path = self.path.split("?")[0]
            file = path.rsplit("/", 1)[-1]
            if page is not None:
                self.answer(page)
            elif path == "/":
                self.answer(b"hub")
            elif path.startswith(f"/api/models/{name}"):
                tree = "/tree/" in path
                self.answer(json.dumps(self.listing() if tree else self.model()).encode())
            elif path.startswith(f"/{name}/resolve/") and gated:
                self.refuse(403, "GatedRepo")
            elif path.startswith(f"/{name}/resolve/") and file in files:
                commit = LATER if f"/{LATER}/" in path else COMMIT
                self.answer(files[file], {"ETag": f'"{sha256[file]}"', "X-Repo-Commit": commit})
            else:
                self.refuse(404, "RepoNotFound")

        do_GET = do_HEAD

        def model(self) -> dict:
            siblings = [
                {"rfilename": file, "size": len(content), "lfs": self.lfs(file, "sha256")}
                for file, content in files.items()
            ]
            asked.append(self.path)
            newest = LATER if moves and len(asked) > 1 else COMMIT
            sha = COMMIT if COMMIT in self.path else newest
            return {"id": name, "sha": sha, "siblings": siblings, "tags": [], "private": False}

        def listing(self) -> list[dict]:
            return [
                {"type": "file", "path": file, "size": len(content), "oid": sha256[file][:40]}
                | {"lfs": self.lfs(file, "oid")}
                for file, content in files.items()
            ]

        def lfs(self, file: str, key: str) -> dict:
            return {key: sha256[file], "size": len(files[file]), "pointerSize": 134}

        def refuse(self, status: int, why: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", why)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(200)
            for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    with running(server) as address:
        yield address
