"""The command `elsface-lite`. A subcommand is one function that adds its parser and one that runs it."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .errors import ElsfaceError
from .evaluate import add_evaluate_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        argv: its words, without the program's name; those of this process if None.

    Returns:
        The exit code: 0; 2 if something failed, with one line for each on stderr; 130 if it was interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal cannot write
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(words[:1]).parse_args(words)
        return args.run(args)
    except ElsfaceError as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        print("elsface-lite: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


def _complain(error: object) -> None:
    print("elsface-lite: error:", " ".join(str(error).split()), file=sys.stderr)


def _parser(command: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("elsface-lite", description="Face super-resolution with ELSFace.")
    parser.add_argument("--version", action="version", version=f"elsface-lite {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_restore_command(subparsers)
    add_evaluate_command(subparsers)
    if command == ["train"]:  # what it imports takes seconds, which the other commands need not wait for
        from .runs import add_train_command

        add_train_command(subparsers)
    else:
        subparsers.add_parser("train", help="train a network on a folder of faces, or continue a run")
    add_export_command(subparsers)
    add_info_command(subparsers)
    add_demo_command(subparsers)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def add_restore_command(subparsers: argparse._SubParsersAction) -> None:
    """`elsface-lite restore`: faces in photographs, or LR faces, made sharp."""
    parser = subparsers.add_parser(
        "restore",
        help="restore the faces in pictures",
        description="Finds the faces in photographs and restores them, four times as large as they are (with x4 "
        "weights). The smaller a face, the more it gains: the networks were trained on faces of 32x32 pixels.",
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="image files, and folders of them")
    add("--out", default="restored", metavar="DIR", help="folder for the results, PNG files (default: restored)")
    add("--lr", action="store_true", help="the pictures are LR faces: restore each as it is, search for nothing")
    add("--paste", action="store_true", help="put the faces back into the photograph, enlarged up to 50 megapixels")
    add("--size", type=_positive, metavar="N", help="bring faces to NxN pixels first; 32 helps very noisy ones")
    add("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a .safetensors file (lite-x4)")
    add("--runtime", choices=["torch", "onnx"], default="torch", help="onnx: run NAME.onnx, which `export` has written")
    add("--device", metavar="D", help="cpu, cuda, ... (default: the best there is)")
    add("--resume", action="store_true", help="go on after an interruption: pass over what has its result in DIR")
    add("--batch-size", type=_positive, default=16, metavar="N", help="LR faces at a time, with --lr on each core (16)")
    parser.set_defaults(run=_restore)


def _restore(args: argparse.Namespace) -> int:
    from .restore import LR_SIDES, restore

    options = {name: value for name, value in vars(args).items() if name not in ("inputs", "run", "runtime")}
    if args.runtime == "onnx":
        from .export import load_exported

        if args.device:
            raise ElsfaceError("--device is for the torch runtime: with --runtime onnx leave it out.")
        # Of LR faces several batches are restored at once, each on one core.
        options["weights"] = load_exported(args.weights, threads=1 if args.lr else None)
    results = restore(args.inputs, **options)
    failed = [result for result in results if result.error]
    for result in failed:
        _complain(result.error)
    sides, limit = [box.side for result in results for box in result.boxes], args.size or LR_SIDES[1]
    if larger := sum(side > limit + 1 for side in sides):
        print(f"note: {larger} of {len(sides)} faces are larger than {limit} pixels and lost detail, see --size.")
    kept = sum(result.kept for result in results)
    done = f"{len(results) - len(failed) - kept} restored, {len(failed)} failed" + f", {kept} were there" * bool(kept)
    print(f"{done}: see {Path(args.out)}" if len(failed) < len(results) else done)
    return 2 if failed else 0


def add_export_command(subparsers: argparse._SubParsersAction) -> None:
    """`elsface-lite export`: a trained network as an ONNX file."""
    parser = subparsers.add_parser(
        "export",
        help="write a network as ONNX, for `restore --runtime onnx` and other programs",
        description="Writes NAME.onnx, for any batch and size, and checks it against PyTorch. With --int8 its "
        "convolutions multiply 8-bit integers, whose ranges are learned from faces.",
    )
    parser.add_argument("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a file (lite-x4)")
    parser.add_argument("--to", choices=["onnx"], default="onnx", help="the format (onnx)")
    parser.add_argument(
        "--int8", action="store_true", help="a third of the size, for a few 0.01 dB; faster on some processors"
    )
    parser.add_argument("--faces", metavar="DIR", help="HR faces for --int8 (default: the ORL faces)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file (default: NAME.onnx, here)")
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> int:
    from .export import calibration_faces, export_int8, export_onnx, exported_name
    from .weights import load_pretrained

    if args.faces and not args.int8:
        raise ElsfaceError("--faces are what --int8 learns from: give both, or neither.")
    model, out = load_pretrained(args.weights), args.out or Path(exported_name(args.weights).name)
    if args.int8:
        loss = export_int8(model, out, calibration_faces(args.faces))
        print(f"{out}: PSNR is {loss:.3f} dB below that of PyTorch on the faces that it was made with")
    else:
        print(f"{out}: differs from PyTorch by at most {export_onnx(model, out):.0e}")
    return 0


def add_info_command(subparsers: argparse._SubParsersAction) -> None:
    """`elsface-lite info`: what is installed here, to be pasted into a bug report."""
    parser = subparsers.add_parser("info", help="show what is installed here, for a bug report")
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> int:
    from .info import report

    print(report())
    return 0


def add_demo_command(subparsers: argparse._SubParsersAction) -> None:
    """`elsface-lite demo`: two portraits degraded, restored and measured."""
    parser = subparsers.add_parser("demo", help="degrade, restore and measure two public-domain portraits")
    parser.add_argument("--out", default="restored", metavar="DIR", help="folder for the pictures (default: restored)")
    parser.add_argument("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a file (lite-x4)")
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    from .demo import demo

    print(demo(args.out, args.weights))
    return 0
