"""`elsface-lite export`: a trained network as an ONNX file."""

import argparse
from pathlib import Path

from ..errors import ElsfaceError
from ..inference.export import calibration_faces, export_int8, export_onnx, exported_name
from ..network.weights import load_pretrained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `export` takes."""
    parser.description = (
        "Writes NAME.onnx, for any batch and size, and checks it against PyTorch. With --int8 its convolutions "
        "multiply 8-bit integers, whose ranges are learned from faces."
    )
    parser.add_argument("--weights", default="lite-x4", metavar="NAME", help="weights by name, or a file (lite-x4)")
    parser.add_argument("--to", choices=["onnx"], default="onnx", help="the format (onnx)")
    parser.add_argument(
        "--int8", action="store_true", help="a third of the size, for a few 0.01 dB; faster on some processors"
    )
    parser.add_argument("--faces", metavar="DIR", help="HR faces for --int8 (default: the ORL faces)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file (default: NAME.onnx, here)")


def run(args: argparse.Namespace) -> int:
    """Writes the file and prints how far it is from PyTorch: 0.

    Raises:
        ElsfaceError: it cannot be written, or would not compute what the network does.
    """
    if args.faces and not args.int8:
        raise ElsfaceError("--faces are what --int8 learns from: give both, or neither.")
    model, out = load_pretrained(args.weights), args.out or Path(exported_name(args.weights).name)
    if args.int8:
        loss = export_int8(model, out, calibration_faces(args.faces))
        print(f"{out}: PSNR is {loss:.3f} dB below that of PyTorch on the faces that it was made with")
    else:
        print(f"{out}: differs from PyTorch by at most {export_onnx(model, out):.0e}")
    return 0
