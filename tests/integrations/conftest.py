"""A small Hub on this machine: repositories, commits, files; and PostgreSQL in a process."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download


class Hub(BaseHTTPRequestHandler):
    """Answer the requests that creating, committing and downloading send."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = self._read_chunks() if chunked else self.rfile.read(length)
        self.server.asked.append(("POST", self.path, self.headers.get("Authorization")))
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if re.fullmatch(r"/api/models/(.+)/preupload/(\w+)", self.path):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in json.loads(body)["files"]
            ]
            return self._send({"files": files})
        if match := re.fullmatch(r"/api/models/(.+)/commit/(\w+)", self.path):
            return self._commit(match[1], body)
        return self._send({}, 404 if self.path != "/api/validate-yaml" else 200)

    def do_HEAD(self):
        self._resolve()

    def do_GET(self):
        self._resolve()

    def log_message(self, *_):
        """Say nothing on standard error."""

    def _read_chunks(self):
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        there = name in self.server.repositories
        if not there:
            self.server.repositories[name] = []
            self.server.created.append(asked)
        url = f"{self.server.address}/{name}"
        self._send({"url": url, "name": name, "id": name}, 409 if there else 200)

    def _commit(self, name, body):
        lines = [json.loads(line) for line in body.splitlines()]
        commits = self.server.repositories[name]
        files = dict(commits[-1]["files"]) if commits else {}
        for line in lines:
            if line["key"] == "file":
                assert line["value"]["encoding"] == "base64"
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        header = next(line["value"] for line in lines if line["key"] == "header")
        sha = hashlib.sha1(f"{name} {len(commits)}".encode()).hexdigest()
        commits.append({"sha": sha, "files": files, "summary": header["summary"]})
        url = f"{self.server.address}/{name}/commit/{sha}"
        self._send({"success": True, "commitUrl": url, "commitOid": sha})

    def _resolve(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/main\?expand=.*", self.path):
            return self._send({"id": match[1], "xetEnabled": False})  # older packages ask
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(\w+)/(.+)", self.path)
        if match is None or match[1] not in self.server.repositories:
            return self._missing("RepoNotFound")
        commits = self.server.repositories[match[1]]
        found = [commit for commit in commits if match[2] in (commit["sha"], "main")]
        if not found:
            return self._missing("RevisionNotFound")
        content = found[-1]["files"].get(match[3])
        if content is None:
            return self._missing("EntryNotFound", found[-1]["sha"])
        headers = {
            "X-Repo-Commit": found[-1]["sha"],
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
        }
        return self._answer(content, 200, headers)

    def _missing(self, code, sha=None):
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self._answer(b"", 404, headers | ({"X-Repo-Commit": sha} if sha else {}))

    def _send(self, value, status=200):
        self._answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def _answer(self, content, status, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


PGLITE = Path(__file__).parent / "pglite"


class Postgres:
    """A database that a process of Node keeps in memory; it is asked a line at a time."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", PGLITE / "server.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, encoding="utf-8",
        )  # fmt: skip

    def __call__(self, sql, *parameters, copy=None):
        """Run a statement with parameters, or several without, and give the last one's rows."""
        asked = {
            "sql": sql,
            "parameters": parameters or None,
            "copy": copy and str(Path(copy).resolve()),
        }
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["rows"]

    def close(self):
        """Let the process end by itself."""
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def postgres():
    """Start PostgreSQL with pgvector, for a module."""
    if shutil.which("node") is None or not (PGLITE / "node_modules").is_dir():
        pytest.skip("PGlite is not installed: make postgres")
    database = Postgres()
    database("CREATE EXTENSION vector")
    yield database
    database.close()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Start a Hub, and point huggingface_hub to it and to an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.repositories, server.created, server.asked = {}, [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # older packages keep the addresses in both
        monkeypatch.setattr(module, "ENDPOINT", server.address, raising=False)
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
