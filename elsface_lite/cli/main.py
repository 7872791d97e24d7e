"""The command `elsface-lite`. Each subcommand is a file here: `add_arguments` says what it takes, `run` does it."""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from ..errors import ElsfaceError, did_you_mean
from .terminal import complain

COMMANDS = {
    "restore": "restore the faces in pictures",
    "evaluate": "measure restored faces against the true ones",
    "train": "train a network on a folder of faces, or continue a run",
    "export": "write a network as ONNX, for `restore --runtime onnx` and other programs",
    "info": "show what is installed here, for a bug report",
    "demo": "spoil four faces as a phone does, restore and measure them",
}

EXAMPLES = """examples:
  elsface-lite restore holiday.jpg --paste      find the faces of a photograph, restore them, put them back
  elsface-lite restore faces/ --lr              LR faces as they are
  elsface-lite evaluate --sr DIR --hr DIR       PSNR, SSIM, MAE, LPIPS, FID and KID of two folders
  elsface-lite train --faces DIR --out runs/a   a network of your own

elsface-lite COMMAND --help says what a command takes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        argv: its words, without the program's name; those of this process if None.

    Returns:
        The exit code: 0; 2 if something failed, with one line for each on stderr; 130 if it was interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal cannot write
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        if not words[0].startswith("-") and words[0] not in COMMANDS:
            meant = did_you_mean(words[0], COMMANDS)
            raise ElsfaceError(f"there is no command {words[0]!r}{meant}: choose {', '.join(COMMANDS)}.")
        args = _parser(words[:1]).parse_args(words)
        return args.run(args)
    except ElsfaceError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        print("elsface-lite: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as all else is said, in one line, and not below a page of what could be right."""

    def error(self, message: str) -> NoReturn:
        raise ElsfaceError(f"{message.removeprefix('argument ')}; see {self.prog} --help.")

    def parse_known_args(self, *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:  # of a command's parser, its words
        found, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            self.error(f"there is no {unknown[0]}{did_you_mean(unknown[0], self._option_string_actions)}")
        return found, unknown


def _parser(command: list[str]) -> argparse.ArgumentParser:
    """All commands, but the arguments of this one only: what the others import takes seconds."""
    parser = _Parser(
        "elsface-lite", description="Face super-resolution with ELSFace.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"elsface-lite {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        its_parser = commands.add_parser(name, help=help)
        if command == [name]:
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(its_parser)
            its_parser.set_defaults(run=module.run)
    return parser
