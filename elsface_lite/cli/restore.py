"""`elsface-lite restore`: faces in photographs, or LR faces, made sharp."""

import argparse
import json
import sys
from pathlib import Path

from ..data.search import counted
from ..errors import ElsfaceError
from ..files import whole_file
from ..inference.export import load_exported
from ..inference.finder import SMALLEST
from ..inference.lists import read_faces, write_faces
from ..inference.restore import restore, weights_for
from ..inference.task import Restored
from .terminal import color, complain, positive, table

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "avif": "AVIF", "heic": "HEIF"}
ROWS = 20  # of the table, unless all are asked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `restore` takes."""
    parser.description = (
        "Finds the faces in photographs and restores them: a sharp one comes out four times as large (with x4 "
        "weights), a blurred one about as large as it is. The smaller a face, the more it gains: the networks were "
        "trained on faces of 32x32 pixels."
    )
    parser.epilog = (
        "Examples: restore holiday.jpg --paste --size-as-input; restore photos/ --out sharp --resume; "
        "restore scan.tif --size 32 --format jpg --quality 90; restore lr_faces/ --lr"
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="image files, folders of them, and patterns such as '*.jpg'")
    add("--out", default="restored", metavar="DIR", help="folder for the results (default: restored)")
    add("--lr", action="store_true", help="the pictures are LR faces: restore each as it is, search for nothing")
    add("--paste", action="store_true", help="put the faces back into the photograph, enlarged up to 50 megapixels")
    add("--scale", type=positive, metavar="N", help="with --paste: enlarge the photograph N times")
    add("--size-as-input", action="store_const", dest="scale", const=1, help="with --paste: do not enlarge it")
    add("--size", type=positive, metavar="N", help="restore each face from NxN pixels (as many as its detail needs)")
    add("--strength", type=float, default=1.0, metavar="S", help="of the restored face, 0 to 1 (1)")
    add("--format", choices=FORMATS, help="of the results (default: that of each input)")
    add("--quality", type=positive, metavar="Q", help="of JPEG, WebP, AVIF and HEIC, 1 to 100 (95)")
    add(
        "--smallest", type=float, default=SMALLEST, metavar="N", help=f"search for faces from N pixels ({SMALLEST:.0f})"
    )
    add("--faces", metavar="LIST.json", help="take the faces from a list, search for none (see --boxes-out)")
    add("--boxes-out", metavar="LIST.json", help="write where the faces are")
    add("--weights", metavar="NAME", help="by name, or a .safetensors file (lite-x4-blind; with --lr lite-x4)")
    add("--sharpness", type=float, default=0.0, metavar="S", help="0 is faithful, 1 is sharp (0); see the model card")
    add("--runtime", choices=["torch", "onnx"], default="torch", help="onnx: run NAME.onnx, which `export` has written")
    add("--device", metavar="D", help="cpu, cuda, ... (default: the best there is)")
    add("--resume", action="store_true", help="leave alone what DIR's record says is done, and has not changed since")
    add("--batch-size", type=positive, default=16, metavar="N", help="LR faces at a time, with --lr on each core (16)")
    add("--json", metavar="FILE", help="write what became of each picture")
    add("-q", "--quiet", action="store_true", help="say nothing but errors")
    add("-v", "--verbose", action="store_true", help="a row for every picture, and for every face left alone")


def run(args: argparse.Namespace) -> int:
    """Restores, and prints what came of it.

    Returns:
        0; 2 if an input failed, with a line for each on stderr.

    Raises:
        ElsfaceError: nothing can be done at all, such as without weights.
    """
    ours = ("inputs", "run", "runtime", "boxes_out", "json", "quiet", "verbose")
    options = {name: value for name, value in vars(args).items() if name not in ours}
    options |= {"format": FORMATS.get(args.format), "faces": read_faces(args.faces) if args.faces else None}
    if args.runtime == "onnx":
        if args.sharpness:
            raise ElsfaceError("an exported network has its sharpness already: leave --sharpness out.")
        if args.device:
            raise ElsfaceError("--device is for the torch runtime: with --runtime onnx leave it out.")
        # Of LR faces several batches are restored at once, each on one core.
        options["weights"] = load_exported(args.weights or weights_for(args.lr), threads=1 if args.lr else None)
    results = restore(args.inputs, progress=not args.quiet, **options)
    failed = [result for result in results if result.error]
    for result in failed:
        complain(result.error)
    if args.boxes_out:
        write_faces(args.boxes_out, results)
    if args.json:
        _write_json(Path(args.json), results)
    if not args.quiet:
        _print(results, args)
        if results.passed_over:
            count = sum(results.passed_over.values())
            print(f"{count} files passed over, which are no pictures: {counted(results.passed_over)}")
    return 2 if failed else 0


def _print(results: list[Restored], args: argparse.Namespace) -> None:
    """The table, how small a face would have been found, and how many pictures came out."""
    done = [result for result in results if not result.error]
    shown = [result for result in done if not result.kept and not args.lr]
    cut = 0 if args.verbose else max(0, len(shown) - ROWS)
    if shown:
        rows = [_row(result) for result in shown[: len(shown) - cut]]
        print("\n".join(table(["picture", "faces", "restored", "seconds", ""], rows)))
    if cut:
        print(f"and {cut} more: --verbose shows all, --json writes them")
    if sizes := [result.smallest for result in results if result.smallest]:
        print(f"searched for faces of {max(sizes):.0f} pixels or more; --smallest changes that")
    failed, kept = len(results) - len(done), sum(result.kept for result in results)
    gained = sum(_gained(result) for result in done) - kept
    says = [f"{gained} restored", f"{failed} failed"]
    says += [f"{len(done) - kept - gained} left as they are"] * (len(done) - kept > gained)
    says += [f"{kept} were there"] * bool(kept)
    line = ", ".join(says) + (f": see {Path(args.out)}" if any(result.files for result in done) else "")
    print(color(line, "red" if failed else "green", sys.stdout))


def _gained(result: Restored) -> bool:
    return result.kept or not result.faces or any(face.restored for face in result.faces)


def _row(result: Restored) -> list[str]:
    restored = sum(face.restored for face in result.faces)
    left = dict.fromkeys(face.judgement for face in result.faces if not face.restored)
    words = [*([result.note] if result.note else []), *left]
    return [result.source, str(len(result.faces)), str(restored), f"{result.seconds:.1f}", "; ".join(words)]


def _write_json(path: Path, results: list[Restored]) -> None:
    rows = [
        {
            "picture": result.source,
            "files": [str(file) for file in result.files],
            "error": result.error,
            "note": result.note,
            "kept": result.kept,
            "seconds": round(result.seconds, 3),
            "smallest": result.smallest,
            "faces": [
                face.box._asdict() | {"score": round(face.score, 4), "judgement": face.judgement}
                for face in result.faces
            ],
        }
        for result in results
    ]
    with whole_file(path) as beside:
        beside.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
