"""Send nonsense to a server, and see that it stands.

    python benchmarks/fuzz_service.py -o fuzz.jsonl

A real server process serves three small collections, of vectors, of texts and of images. It gets
bodies, uploads, heads, keys and paths that are random or were valid before they were changed: JSON
with a part cut out, doubled or replaced; random bytes; PNG, JPEG, GIF and WebP files that are cut
or changed; images that would take gigabytes; deep, wide and endless values; heads that lie about
lengths and types. A row tells how often each status was answered, and what must not happen: an
answer of 500 or more, no answer at all, a file that was not there before, more memory at the end
than after the first thousand requests, and collections that are not as they were written.
"""

import base64
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from search import where_from

from hashlearn import get_method
from hashlearn.collection import Collection
from hashlearn.models import make_model

console = Console()

NAMES = ("points", "texts", "photos")
OWN = ("items.sqlite", "items.sqlite-wal", "items.sqlite-shm")
WARM = 1000  # requests after which memory is looked at first
JSON = "application/json"
LONE = b'"\\ud800"', b'"\\u0000"', b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"null", b"[]"
TEXTS = "key", "label", "' OR 1=1 --", "../../etc/passwd", "%00", "a" * 3000
NUMBERS = None, True, False, 0, -1, 2**63, 2**64, 10**30, 1e300, -0.0
KEYS = "%00", "..%2f..%2fetc%2fpasswd", "%ff%fe", "a" * 2000, "%27%20OR%201", "%ed%a0%80"
PATHS = (
    "/", "//", "/api/v1/collections/..%2f..", "/api/v1/../../etc/passwd", "/%00",
    "/api/v1/collections/%2e%2e%2fpoints.collection/item?key=a", "/api/v1/collections/points/",
    "/static/../../pyproject.toml", "/" + "a" * 5000,
)  # fmt: skip
METHODS = "GET", "POST", "PUT", "OPTIONS", "HEAD", "TRACE", "NONSENSE"
HUGE = b"[" + b"[]," * 5_000_000, b"0" * (17 << 20), b'{"items": [' + b"{}," * 10**6


def make_collections(folder: Path) -> None:
    """Make a collection of each kind."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8)).astype(np.float32)
    texts = [f"{a} {b}" for a in "abcdefgh" * 3 for b in ("cat", "dog", "owl")]
    images = rng.integers(0, 256, (60, 12, 12, 3)).astype(np.uint8)
    lsh = get_method("lsh")
    for name, model, items in (
        ("points", lsh(16, random_state=0).fit(X), X),
        ("texts", make_model("bagofwords", lsh(16, random_state=0)), texts),
        ("photos", make_model("pixels", lsh(16, random_state=0)), list(images)),
    ):
        if name != "points":
            model.fit(np.array(items, object) if name == "texts" else images)
        with Collection.create(model, folder / f"{name}.collection") as collection:
            collection.add(items, keys=[f"{name}/{i}" for i in range(len(items))])


def image_file(rng: random.Random) -> bytes:
    """Make an image file, whole, cut, changed, or one that lies about its size."""
    form = rng.choice(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
    size = rng.randint(1, 40), rng.randint(1, 40)
    file = BytesIO()
    Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1])).save(file, form)
    data = bytearray(file.getvalue())
    match rng.randrange(5):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            for _ in range(rng.randint(1, 20)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            return bomb(rng)
        case 3:
            return rng.randbytes(rng.randrange(300))
    return bytes(data)


def bomb(rng: random.Random) -> bytes:
    """Make a small PNG that has, or says that it has, very many pixels."""
    side = rng.choice([6000, 7500, 9000, 20_000, 100_000, 2**31 - 1])

    def chunk(kind: bytes, body: bytes) -> bytes:
        sums = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", sums)

    rows = bytes(min(side * (side + 1), 2_000_000))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def text(rng: random.Random, length: int) -> str:
    """Make a text of any characters."""
    return "".join(chr(rng.randrange(0xD800)) for _ in range(rng.randrange(length)))


def content(rng: random.Random, name: str) -> dict[str, Any]:
    """Make what may be an item of a collection."""
    match NAMES.index(name) if rng.random() < 0.7 else rng.randrange(4):
        case 0:
            return {"vector": [rng.gauss(0, 1) for _ in range(rng.choice([8, 8, 8, 7, 1000]))]}
        case 1:
            return {"text": text(rng, 40)}
        case 2:
            return {"image": base64.b64encode(image_file(rng)).decode()}
    return {"key": f"{name}/{rng.randrange(250)}"}


def value(rng: random.Random, depth: int = 0) -> Any:
    """Make any value of JSON."""
    match rng.randrange(8 if depth < 4 else 5):
        case 0:
            return rng.choice(NUMBERS)
        case 1:
            return rng.gauss(0, 1000)
        case 2 | 3:
            return text(rng, 9)
        case 4:
            return rng.choice(TEXTS)
        case 5:
            return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {str(value(rng, 9)): value(rng, depth + 1) for _ in range(rng.randrange(5))}


def valid(rng: random.Random, kind: str, name: str) -> dict[str, Any]:
    """Make a body that may well be accepted."""
    if kind == "items":
        about = {"label": rng.choice("abc"), "metadata": {"n": 2}, "source": "/etc/passwd"}
        items = [content(rng, name) | rng.choice([about, {}]) for _ in range(rng.randint(1, 4))]
        return {"items": items}
    if kind == "item":
        return rng.choice([{"label": "new"}, {"metadata": {"a": [1, "b"]}}, content(rng, name)])
    asked = content(rng, name) if rng.random() < 0.8 else {"code": rng.randbytes(2).hex()}
    return asked | {
        "k": rng.choice([1, 20, 1000, None, 0]),
        "radius": rng.choice([None, 3, 16]),
        "where": rng.choice([None, None, None, {"label": "a"}, {"n": {"min": 2}}, value(rng)]),
        "rerank": rng.random() < 0.3,
    }


def mutated(rng: random.Random, body: bytes) -> bytes:
    """Change a body."""
    data = bytearray(body)
    at = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + rng.randint(1, 9)]
        case 2:
            data[at:at] = rng.randbytes(rng.randint(1, 9))
        case 3:
            data[at:at] = data[: rng.randrange(len(data) + 1)]
        case 4:
            return body.replace(b": ", b": " + rng.choice(LONE) + b", ", 1)
        case 5:
            return body.replace(b"1", rng.choice(LONE))
        case 6:
            return b'{"where": ' + rng.choice([b"[", b'{"a":']) * rng.choice([50, 500, 100_000])
    return bytes(data)


def body_for(rng: random.Random, kind: str, name: str) -> bytes:
    """Make the body of a request."""
    match rng.randrange(10):
        case 0:
            return rng.randbytes(rng.randrange(2000))
        case 1:
            return json.dumps(value(rng)).encode()
        case 2:
            return json.dumps({"items": [value(rng) for _ in range(rng.randrange(5))]}).encode()
        case 3 if rng.random() < 0.02:
            return rng.choice(HUGE)
        case 3 | 4 | 5 | 6:
            return json.dumps(valid(rng, kind, name)).encode()
    return mutated(rng, json.dumps(valid(rng, kind, name)).encode())


def request_for(rng: random.Random) -> bytes:
    """Make a request, to the last byte."""
    kind = rng.choice(["search", "search", "search", "items", "item", "content", "list", "path"])
    name = rng.choice(NAMES)
    key = rng.choice([*2 * [f"{name}/{rng.randrange(100)}"], rng.choice(KEYS)])
    base = f"/api/v1/collections/{name}"
    method, path, body = "GET", base, b""
    match kind:
        case "search" | "items":
            method, path, body = "POST", f"{base}/{kind}", body_for(rng, kind, name)
        case "item":
            method, path = rng.choice(["PATCH", "PATCH", "DELETE", "GET"]), f"{base}/item?key={key}"
            body = body_for(rng, kind, name) if method == "PATCH" else b""
        case "content":
            path = f"{base}/content?key={key}"
        case "list":
            n = rng.choice(["1", "1", "0", "x", "1000", "9" * 5000, "1e3", "%00"])
            where = rng.choice(["", "&where={}", "&where=[", "&where=%7B%22n%22:1%7D", "&after=x"])
            path = f"{base}/items?n={n}{where}"
        case "path":
            method, path = rng.choice(METHODS), rng.choice(PATHS)
    return method.encode() + b" " + path.encode() + b" HTTP/1.1\r\n" + heads(rng, body)


def heads(rng: random.Random, body: bytes) -> bytes:
    """Make heads, some of which lie, and the body after them."""
    kind = rng.choice(["text/plain", "", "\xff", *40 * [JSON]])
    lines = [b"host: localhost", b"connection: close", b"content-type: " + kind.encode("latin-1")]
    match rng.randrange(20):
        case 0:
            lines.append(b"transfer-encoding: chunked")
            middle = rng.randrange(len(body) + 1)
            parts = [part for part in (body[:middle], body[middle:]) if part]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        case 1:
            lie = rng.choice([b"99999999999", *3 * [b"-1", b"x", b"9" * 400]])
            lines.append(b"content-length: " + lie)
        case 2:
            lines += [b"content-length: %d" % len(body), b"content-length: 3"]
        case 3:
            lines += [b"cookie: " + rng.randbytes(9).hex().encode(), b"x-forwarded-for: ../../"]
            lines += [b"authorization: Bearer \xff", b"content-length: %d" % len(body)]
        case _:
            lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answer_to(address: tuple[str, int], request: bytes) -> str:
    """Send a request, and give the status of the answer, or say that none came."""
    answer = b""
    with socket.create_connection(address, timeout=40) as connection:
        with suppress(OSError):  # the answer may be there all the same
            connection.sendall(request)
        try:
            while b"\r\n" not in answer and (part := connection.recv(4096)):
                answer += part
        except TimeoutError:
            return "timeout"
        except OSError:
            return "reset"
    return answer[9:12].decode("ascii", "replace") if answer else "closed"


def resident(pid: int) -> int:
    """Tell the megabytes of memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def files_in(folder: Path) -> set[str]:
    """List all files but the databases."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name not in OWN}


def fuzz(process: Any, address: tuple[str, int], rng: random.Random, n: int) -> Iterator[str]:
    """Send requests and give what comes."""
    for _ in range(n):
        request = request_for(rng)
        status = answer_to(address, request)
        if status.startswith("5") or process.poll() is not None:
            console.print(status, request[:300])
        yield status


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Append a row here.")],
    n: Annotated[int, typer.Option(help="Requests.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the requests.")] = 0,
) -> None:
    """Serve, send, look."""
    rng, counts, start = random.Random(seed), Counter[str](), perf_counter()
    with TemporaryDirectory() as place:
        folder = Path(place)
        make_collections(folder)
        paths = [folder / f"{name}.collection" for name in NAMES]
        before = files_in(folder)
        command = [sys.executable, "-c", "from hashlearn.cli import main; main()", "serve"]
        command += [*map(str, paths), "--port", "0", "--json"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": place}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=place
        )
        assert process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            told += process.stdout.readline()
        url = urlsplit(json.loads(told)["address"])
        address = str(url.hostname), int(url.port or 0)
        megabytes = {"at the start": resident(process.pid)}
        for number, status in enumerate(fuzz(process, address, rng, n), 1):
            counts[status] += 1
            if number in (WARM, n):
                megabytes[f"after {number}"] = resident(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(90)
        whole = {}
        for path in paths:
            with Collection.open(path, read_only=True) as collection:
                whole[path.stem] = collection.verify().is_whole
        row = {
            "what": "nonsense sent to the service",
            "n": n,
            "seed": seed,
            "statuses": dict(sorted(counts.items())),
            "n_failed": sum(count for status, count in counts.items() if status.startswith("5")),
            "megabytes": megabytes,
            "new_files": sorted(files_in(folder) - before),
            "is_whole": whole,
            "seconds": perf_counter() - start,
            "provenance": where_from(),
        }
    with output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    console.print({name: found for name, found in row.items() if name != "provenance"})


if __name__ == "__main__":
    typer.run(main)
