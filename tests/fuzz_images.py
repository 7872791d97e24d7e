"""Broken pictures: `seeds` and `broken` make them, and as a command this file looks for more, guided by coverage.

    python tests/fuzz_images.py --minutes 2

The command needs atheris (pip install atheris; not for Windows). It drives Pillow's Python and ours line by line; of
the decoders in C it sees only what comes back. What it finds is kept in the folder that it names.
"""

import argparse
import io
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

MAGIC = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]  # sizes, counts and offsets that break things
SLOWEST = 10  # seconds that one picture may take
MEMORY = 4096  # MB that the process may use: a picture just below the limit of 100 megapixels needs 3 GB


@cache
def seeds() -> dict[str, bytes]:
    """A small whole file of every kind, by a name that says which: the astronaut's face, 24 wide and 20 high."""
    import skimage.data  # Pillow is imported late, so that the fuzzer sees it first
    from PIL import Image, features

    face = Image.fromarray(skimage.data.astronaut()[30:190, 130:322]).resize((24, 20))
    grey, palette = face.convert("L"), face.quantize(32)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    clear = face.copy()
    clear.putalpha(grey)
    turned = Image.Exif()
    turned[0x0112] = 6
    film = {"save_all": True, "append_images": [face.rotate(90), face.rotate(180)]}
    files = {
        "rgb.jpg": (face, {}), "progressive.jpg": (face, {"progressive": True}), "grey.jpg": (grey, {}),
        "cmyk.jpg": (face.convert("CMYK"), {}), "turned.jpg": (face, {"exif": turned}),
        "rgb.png": (face, {}), "alpha.png": (clear, {}), "palette.png": (palette, {"transparency": 3}),
        "bits.png": (face.convert("1"), {}), "deep.png": (deep, {}), "grey-alpha.png": (clear.convert("LA"), {}),
        "film.png": (face, film), "turned.png": (face, {"exif": turned}),
        "lossy.webp": (face, {}), "lossless.webp": (clear, {"lossless": True}), "film.webp": (face, film),
        "raw.tiff": (face, {}), "lzw.tiff": (face, {"compression": "tiff_lzw"}),
        "zip.tiff": (face, {"compression": "tiff_adobe_deflate"}), "jpeg.tiff": (face, {"compression": "jpeg"}),
        "fax.tiff": (face.convert("1"), {"compression": "group4"}), "deep.tiff": (deep, {}), "pages.tiff": (face, film),
        "float.tiff": (Image.fromarray(np.asarray(grey, np.float32) / 255), {}),
        "cmyk.tiff": (face.convert("CMYK"), {}),
        "palette.gif": (palette, {}), "clear.gif": (palette, {"transparency": 3}), "film.gif": (palette, film),
        "rgb.bmp": (face, {}), "palette.bmp": (palette, {}), "rgb.ppm": (face, {}), "deep.pgm": (deep, {}),
    }  # fmt: skip
    if features.check("avif"):
        files["rgb.avif"] = (face, {})
    encoded = {}
    for name, (image, options) in files.items():
        file = io.BytesIO()
        image.save(file, Image.registered_extensions()[Path(name).suffix], **options)
        encoded[name] = file.getvalue()
    return encoded


def broken(data: bytes, random: np.random.Generator) -> bytes:
    """The file, damaged in one of six ways; half of the damage is in the first 64 bytes, where the headers are."""
    changed = bytearray(data)
    place = int(random.integers(min(len(data), 64) if random.random() < 0.5 else len(data)))
    match random.integers(6):
        case 0:
            return data[:place]
        case 1:  # flipped bits
            for at in {place, *random.integers(len(data), size=random.integers(8)).tolist()}:
                changed[at] ^= 1 << int(random.integers(8))
        case 2:  # a number that is taken for a size
            width = int(random.choice([1, 2, 4]))
            order = "little" if random.random() < 0.5 else "big"
            value = int(random.choice(MAGIC)) % 256**width
            changed[place : place + width] = value.to_bytes(width, order)
        case 3:  # a part lost
            del changed[place : place + int(random.integers(1, 40))]
        case 4:  # a part twice
            changed[place:place] = data[place : place + int(random.integers(1, 40))]
        case _:  # a part overwritten
            noise = random.bytes(int(random.integers(1, 40)))
            changed[place : place + len(noise)] = noise
    return bytes(changed)


def main() -> int:
    """Fuzzes `read_image` for some minutes: 0 if nothing was found."""
    parser = argparse.ArgumentParser(description="Looks for a picture that read_image answers with a traceback.")
    parser.add_argument("--minutes", type=float, default=2, metavar="N", help="how long (default: 2)")
    minutes = parser.parse_args().minutes
    try:
        import atheris
    except ImportError:
        print("fuzz_images: this needs atheris: pip install atheris (Linux or macOS).", file=sys.stderr)
        return 2
    import torch  # noqa: F401 (before the instrumentation, which is for Pillow and images.py)

    with atheris.instrument_imports(include=["PIL", "elsface_lite.data.images", "elsface_lite.files"]):
        import PIL.Image

        from elsface_lite.data.images import read_image
        from elsface_lite.errors import ElsfaceError

        PIL.Image.init()

    folder = Path(tempfile.mkdtemp(prefix="fuzz-images-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, data in seeds().items():
        (corpus / name).write_bytes(data)
    picture = folder / "picture"

    def read(data: bytes) -> None:
        picture.write_bytes(data)
        try:
            image = read_image(picture)
        except ElsfaceError as error:
            assert "\n" not in str(error)
        else:
            assert image.ndim == 3 and image.shape[0] == 3 and image.numel() and 0 <= image.min() <= image.max() <= 1

    print(f"what is found is kept in {folder}")
    limits = [f"-max_total_time={60 * minutes:.0f}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", "-print_final_stats=1", str(corpus)], read)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
