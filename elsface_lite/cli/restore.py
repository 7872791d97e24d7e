"""`elsface-lite restore`: faces in photographs, or LR faces, made sharp."""

import argparse
from pathlib import Path

from ..errors import ElsfaceError
from ..inference.export import load_exported
from ..inference.restore import LR_SIDES, restore
from .terminal import complain, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `restore` takes."""
    parser.description = (
        "Finds the faces in photographs and restores them, four times as large as they are (with x4 weights). The "
        "smaller a face, the more it gains: the networks were trained on faces of 32x32 pixels."
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="image files, and folders of them")
    add("--out", default="restored", metavar="DIR", help="folder for the results, PNG files (default: restored)")
    add("--lr", action="store_true", help="the pictures are LR faces: restore each as it is, search for nothing")
    add("--paste", action="store_true", help="put the faces back into the photograph, enlarged up to 50 megapixels")
    add("--size", type=positive, metavar="N", help="bring faces to NxN pixels first; 32 helps very noisy ones")
    add("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a .safetensors file (lite-x4)")
    add("--runtime", choices=["torch", "onnx"], default="torch", help="onnx: run NAME.onnx, which `export` has written")
    add("--device", metavar="D", help="cpu, cuda, ... (default: the best there is)")
    add("--resume", action="store_true", help="go on after an interruption: pass over what has its result in DIR")
    add("--batch-size", type=positive, default=16, metavar="N", help="LR faces at a time, with --lr on each core (16)")


def run(args: argparse.Namespace) -> int:
    """Restores, and prints what came of it.

    Returns:
        0; 2 if an input failed, with a line for each on stderr.

    Raises:
        ElsfaceError: nothing can be done at all, such as without weights.
    """
    options = {name: value for name, value in vars(args).items() if name not in ("inputs", "run", "runtime")}
    if args.runtime == "onnx":
        if args.device:
            raise ElsfaceError("--device is for the torch runtime: with --runtime onnx leave it out.")
        # Of LR faces several batches are restored at once, each on one core.
        options["weights"] = load_exported(args.weights, threads=1 if args.lr else None)
    results = restore(args.inputs, **options)
    failed = [result for result in results if result.error]
    for result in failed:
        complain(result.error)
    sides, limit = [box.side for result in results for box in result.boxes], args.size or LR_SIDES[1]
    if larger := sum(side > limit + 1 for side in sides):
        print(f"note: {larger} of {len(sides)} faces are larger than {limit} pixels and lost detail, see --size.")
    kept = sum(result.kept for result in results)
    done = f"{len(results) - len(failed) - kept} restored, {len(failed)} failed" + f", {kept} were there" * bool(kept)
    print(f"{done}: see {Path(args.out)}" if len(failed) < len(results) else done)
    return 2 if failed else 0
