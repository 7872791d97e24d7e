"""`elsface-lite export`: a trained network as an ONNX file."""

import argparse
from pathlib import Path

from ..errors import ElsfaceError
from ..inference.export import OPSET, OPSETS, calibration_faces, export_int8, export_onnx, exported_name
from ..inference.restore import weights_for
from ..network.weights import load_pretrained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `export` takes."""
    parser.description = (
        "Writes NAME.onnx, for any batch and size, and checks it against PyTorch. With --int8 its convolutions "
        "multiply 8-bit integers, whose ranges are learned from faces."
    )
    parser.add_argument(
        "--weights",
        default=weights_for(lr=False),
        metavar="NAME",
        help="by name, a file, or owner/name on a hub (what restore takes for photographs: %(default)s)",
    )
    parser.add_argument("--to", choices=["onnx"], default="onnx", help="the format (onnx)")
    parser.add_argument(
        "--int8", action="store_true", help="a third of the size, for a few 0.01 dB; faster on some processors"
    )
    parser.add_argument("--fp16", action="store_true", help="half of the size: weights and arithmetic in float16")
    parser.add_argument(
        "--opset",
        type=int,
        default=OPSET,
        metavar="N",
        help=f"version of ONNX's operators, {OPSETS[0]} to {OPSETS[1]}: older runtimes read lower ones ({OPSET})",
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
    if args.int8 and args.fp16:
        raise ElsfaceError("--int8 and --fp16 are two ways to make the file smaller: choose one.")
    model, out = load_pretrained(args.weights), args.out or Path(exported_name(args.weights).name)
    if args.int8:
        loss = export_int8(model, out, calibration_faces(args.faces), opset=args.opset)
        print(f"{out}: PSNR is {loss:.3f} dB below that of PyTorch on the faces that it was made with")
    else:
        difference = export_onnx(model, out, opset=args.opset, fp16=args.fp16)
        print(f"{out}: differs from PyTorch by at most {difference:.0e}")
    return 0
