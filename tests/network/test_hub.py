"""Weights on a hub: a server on 127.0.0.1 that speaks as Hugging Face's does. The network is never used."""

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from elsface_lite import ELSFace, ELSFaceConfig, ElsfaceError, load_pretrained, read_card

pytest.importorskip("huggingface_hub", reason='it comes with pip install "elsface-lite[train]"')
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = ELSFaceConfig.lite(channels=8, heads=2, hfebs=1, hfeb_blocks=1, out_channels=4)


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: what is committed can be downloaded."""

    files: dict[str, bytes]
    tokens: set[str | None]

    def reply(self, code: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer(self, **values: Any) -> None:
        self.reply(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        if content is None:
            return self.reply(404, headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        return self.reply(200, content, {"ETag": f'"{hash(content)}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.tokens.add(self.headers.get("Authorization"))
        if self.headers.get("Authorization") != "Bearer right":
            return self.reply(401, headers={"X-Error-Message": "Invalid credentials"})
        host = f"http://127.0.0.1:{self.server.server_port}"
        if self.path == "/api/repos/create":
            return self.answer(url=f"{host}/me/mine", id="me/mine", name="mine")
        if "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            return self.answer(files=[{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths])
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                name = f"/me/mine/resolve/main/{entry['value']['path']}"
                self.files[name] = base64.b64decode(entry["value"]["content"])
        return self.answer(commitUrl=f"{host}/me/mine/commit/{COMMIT}", commitOid=COMMIT, hookOutput="")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    from huggingface_hub import constants

    handler = type("Handler", (Hub,), {"files": {}, "tokens": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield handler
        server.shutdown()


def test_a_network_goes_to_the_hub_and_comes_back(hub: type[Hub]) -> None:
    torch.manual_seed(0)
    model = ELSFace(TINY)
    model.push_to_hub("me/mine", token="right", private=True, psnr=12.5)
    assert list(hub.files) == ["/me/mine/resolve/main/model.safetensors"]
    for loaded in (ELSFace.from_pretrained("me/mine"), load_pretrained("me/mine")):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    assert read_card("me/mine")["psnr"] == 12.5


def test_what_the_hub_gives_is_checked_like_any_file(hub: type[Hub]) -> None:
    hub.files["/me/mine/resolve/main/model.safetensors"] = b"\x80\x04no weights"
    with pytest.raises(ElsfaceError, match="is damaged, or no safetensors file"):
        load_pretrained("me/mine")


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_the_hub_refuses_is_one_line(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ElsfaceError) as caught:
        load_pretrained("nobody/nothing")
    assert "there is no folder nobody/nothing here, and no model.safetensors to be had" in one_line(caught)
    with pytest.raises(ElsfaceError) as caught:
        ELSFace(TINY).push_to_hub("me/mine", token="wrong")
    assert "does not take weights for me/mine" in one_line(caught)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the tries
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ElsfaceError, match="check the name and the network"):
        load_pretrained("nobody/nothing")


def test_without_the_hubs_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ElsfaceError, match=r'pip install "elsface-lite\[train\]"'):
        load_pretrained("me/mine")
