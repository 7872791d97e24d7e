"""The command line in processes forked from a server that has imported the package once: seconds saved for each.

They are processes like any other, killed and interrupted really, and only by their own number. Not on Windows.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from elsface_lite.files import PART


def _run(words: list[str], errors: Path | None, largest_file: int | None) -> None:
    import resource

    from elsface_lite.cli.main import main

    if errors:
        for descriptor, file in ((1, errors.with_suffix(".out")), (2, errors)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.exit(main(words))


def server() -> Any:
    """The context of multiprocessing whose server imports the package as it starts."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["elsface_lite.cli.main", "elsface_lite.cli.train", "torch.utils.tensorboard"])
    return context


def _told_nothing(words: list[str]) -> int:
    """The command line, in a process that may have inherited what Accelerate leaves in the environment."""
    from elsface_lite.cli.main import main

    for name in [name for name in os.environ if name.startswith("ACCELERATE")]:
        del os.environ[name]
    return main(words)


def torchrun(words: list[str], logs: Path) -> str:
    """What two processes print that `torchrun` starts with the command line, each forked from the server."""
    from torch.distributed.launcher import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    server()
    options = ["--nproc_per_node", "2", "--master_port", "29511", "--start_method", "forkserver"]
    config, *_ = config_from_args(parse_args([*options, "--redirects", "3", "--log_dir", str(logs), "elsface_lite"]))
    with ThreadPoolExecutor(1) as aside:  # where it does not change how this process takes signals
        codes = aside.submit(elastic_launch(config, _told_nothing), words).result()
    assert codes == {0: 0, 1: 0}
    return "".join(file.read_text(encoding="utf-8") for file in logs.rglob("stdout.log"))


class Program:
    """`elsface-lite` with these words, started.

    Args:
        words: of the command line.
        errors: a file for what it says on stderr; what it prints goes to one beside it, with the suffix .out.
        largest_file: a limit in bytes, which stands in for a full disk.
    """

    def __init__(self, *words: object, errors: Path | None = None, largest_file: int | None = None) -> None:
        self.errors = errors
        self.process = server().Process(target=_run, args=(list(map(str, words)), errors, largest_file))
        self.process.start()

    def send(self, signal: int) -> None:
        with suppress(ProcessLookupError):  # it may just have ended
            os.kill(self.process.pid, signal)

    def end(self) -> int:
        """Waits, and gives the exit code; that of a killed process is minus the signal."""
        self.process.join(300)
        assert self.process.exitcode is not None, "it hangs"
        return self.process.exitcode

    def said(self) -> list[str]:
        """The lines on stderr, without what a progress bar has drawn."""
        lines = self.errors.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.strip() and "it/s" not in line and "|" not in line]

    def wait_until(self, condition: Callable[[], object], pause: float = 0) -> bool:
        """Looks again and again; whether it came true before the program ended."""
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            if not self.process.is_alive():
                return bool(condition())
            time.sleep(pause)
        return True

    def memory(self) -> int:
        """Resident memory in MB, 0 if it has ended."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def parts(folder: Path) -> list[Path]:
    """Files below a folder that were not whole when their writer ended."""
    return list(folder.glob(f"**/.{PART}.part*"))
