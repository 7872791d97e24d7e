"""Builds the page that restores in the browser: `make web`, or python web/build.py FOLDER [--weights NAME].

The folder gets everything that the page loads, and nothing that depends on where it lies: the sources beside this file,
ONNX Runtime from node_modules (npm ci), the networks exported from weights, and an example made with them.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch

from elsface_lite import ElsfaceError, load_pretrained, read_image, restore, upscale, write_png
from elsface_lite.course import widgets
from elsface_lite.data.degradation import resize
from elsface_lite.data.pairs import HR_SIZE
from elsface_lite.inference import box, detector, faces, finder, judge
from elsface_lite.inference.export_browser import export_detector, export_for_browser
from elsface_lite.network.elsface import ELSFace

WEB = Path(__file__).parent
SOURCES = ("*.html", "*.css", "*.js", "*.svg", "*.webmanifest")
RUNTIME = WEB / "node_modules" / "onnxruntime-web" / "dist"
RUNTIMES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
}
# What a telephone bears: a canvas of Safari holds no more pixels, and a larger face takes a processor 10 seconds and
# more.
PASTED_PIXELS = 16_000_000
LARGEST_FACE = 256
SMALL_PICTURE = 64  # up to which a picture is taken as a face
SMALL_COPY = 64  # pixels of a face in the small copy of a photograph that is sharp as it is
EXAMPLE_SIDE = 32
ENDS = {"faithful": 0, "sharp": 1}  # of the slider, as sharpness


def copy_files(out: Path) -> None:
    """The page itself, and ONNX Runtime."""
    pages = [path for pattern in SOURCES for path in WEB.glob(pattern)]
    for path in [*pages, Path(widgets.__file__).with_name("before_after.js")]:
        shutil.copy(path, out / path.name)
    (out / "ort").mkdir(exist_ok=True)
    for script, binary in RUNTIMES.values():
        for name in (script, binary):
            if not (RUNTIME / name).is_file():
                raise ElsfaceError(f"{RUNTIME / name} is not there: run npm ci --prefix web first, or make web.")
        shutil.copy(RUNTIME / script, out / "ort" / script)
        # Packed here, since many a server does not: a quarter of the size. The name is none that a server knows, or it
        # might have the browser unpack it before our script does.
        content = gzip.compress((RUNTIME / binary).read_bytes(), mtime=0)
        (out / "ort" / f"{binary}.packed").write_bytes(content)


def make_example(model: ELSFace, out: Path) -> None:
    """A face that one can try: small, enlarged by bicubic, and restored."""
    lr = resize(read_image(WEB / "example.webp"), EXAMPLE_SIDE, EXAMPLE_SIDE)
    pictures = {
        "": lr,
        "-before": upscale(lr, model.config.scale),
        "-after": restore(lr, weights=model, lr=True)[0].image,
    }
    for name, picture in pictures.items():
        write_png(picture, out / f"example{name}.png")


def settings(networks: dict[str, ELSFace], out: Path) -> dict[str, object]:
    """What the scripts must know of the Python side, so that no number stands in two places."""
    runtimes = {
        name: dict(script=f"ort/{script}", binary=f"ort/{binary}.packed") for name, (script, binary) in RUNTIMES.items()
    }
    loaded = [path for folder in ("models", "ort") for path in sorted((out / folder).iterdir())]
    return {
        "networks": list(networks),
        "scale": networks["faithful"].config.scale,
        "faceSide": HR_SIZE,
        "landmarks": [(point.real, point.imag) for point in box.LANDMARKS],
        "around": box.AROUND,
        "looks": finder.LOOKS,
        "window": finder.WINDOW,
        "sure": finder.SURE,
        "leaning": finder.LEANING,
        "sides": finder.SIDES,
        "apart": finder.APART,
        "worst": finder.WORST,
        "feather": faces.FEATHER,
        "shrunk": faces.SHRUNK,
        "thresholds": detector.THRESHOLDS,
        "shrink": detector.SHRINK,
        "stride": detector.STRIDE,
        "cell": detector.CELL,
        "maxBoxes": detector.MAX_BOXES,
        "full": judge.FULL,
        "faint": judge.FAINT,
        "narrowestFace": judge.NARROWEST,
        "detailedFace": judge.LARGEST,
        "visible": judge.VISIBLE,
        "pastedPixels": PASTED_PIXELS,
        "largestFace": LARGEST_FACE,
        "smallPicture": SMALL_PICTURE,
        "smallCopy": SMALL_COPY,
        "runtimes": runtimes,
        "bytes": {path.relative_to(out).as_posix(): path.stat().st_size for path in loaded},
    }


def name_version(out: Path) -> None:
    """Writes a checksum of all files into the service worker, so that a browser notices when one has changed."""
    checksum = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        checksum.update(path.read_bytes())
    worker = out / "sw.js"
    text = worker.read_text(encoding="utf-8").replace("'development'", f"'{checksum.hexdigest()[:16]}'")
    worker.write_text(text, encoding="utf-8")


def build(out: Path, weights: str) -> None:
    """Fills the folder.

    Raises:
        ElsfaceError: a package or the weights are missing, with what brings them.
    """
    networks = {name: load_pretrained(weights, sharpness) for name, sharpness in ENDS.items()}
    (out / "models").mkdir(parents=True, exist_ok=True)
    copy_files(out)
    make_example(networks["faithful"], out)
    export_detector(out / "models")
    for name, network in networks.items():
        export_for_browser(network, out / "models" / f"{name}.onnx")
    (out / "settings.json").write_text(json.dumps(settings(networks, out)), encoding="utf-8")
    name_version(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder, such as build/docs/web")
    parser.add_argument("--weights", default="lite-x4-blind", help="a name or a file (lite-x4-blind)")
    args = parser.parse_args()
    try:
        build(args.out, args.weights)
    except ElsfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"open {args.out}/index.html through a web server: python -m http.server --directory {args.out}")
    return 0


if __name__ == "__main__":
    torch.manual_seed(0)
    sys.exit(main())
