"""A training step of the paper's network, batch 16: what do layout, attention and bfloat16 give, in time and memory?

    OMP_NUM_THREADS=2 python benchmarks/training.py    # writes training.csv; on a quiet machine

Each form trains in a process of its own, so that its largest memory can be told, and the processes take turns. The
faces are the ORL faces, decoded before; choosing, flipping and shrinking them is part of the step, and `loader alone`
is only that.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict

import torch
from inference import plain
from timing import write_table

from elsface_lite.data.cache import FaceArray
from elsface_lite.data.pairs import load_faces
from elsface_lite.data.sources import orl_faces
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.trainer import Trainer

LOADER = "loader alone"
FORMS = ("plain float32", "trainer float32", "trainer float32, recompute", "trainer bfloat16", LOADER)
BATCH = 16


def peak_memory() -> float:
    """The largest memory of this process until now, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def train(form: str, steps: int) -> None:
    """Trains in this process, and prints seconds of each step, losses and the memory that a step takes as JSON."""
    faces = load_faces(orl_faces().paths[:160], 128, enlarge=True).numpy()
    precision = "bf16" if "bfloat16" in form else "no"
    config = TrainConfig.paper(batch_size=BATCH, precision=precision, recompute="recompute" in form, flips=True)
    trainer = Trainer(ELSFace(ELSFaceConfig.paper()), FaceArray(faces), FaceArray(faces[:1]), config=config)
    if form.startswith("plain"):
        trainer.model.to(memory_format=torch.contiguous_format)
        plain(trainer.model).train()
    before = peak_memory()
    seconds, losses = [], []
    for _ in range(steps):
        started = time.perf_counter()
        if form == LOADER:
            trainer.batch()
        else:
            losses.append(trainer.train_step()["loss"])
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds[1:], "losses": losses, "memory": peak_memory() - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=FORMS, help="train in this process")
    parser.add_argument("--steps", type=int, default=6, help="of each turn; the first does not count")
    parser.add_argument("--turns", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.form:
        return train(arguments.form, arguments.steps)
    results = defaultdict(list)
    for _ in range(arguments.turns):
        for form in FORMS:
            words = [sys.executable, __file__, "--form", form, "--steps", str(arguments.steps)]
            results[form].append(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))
    rows = []
    for form in FORMS:
        step = statistics.median(second for result in results[form] for second in result["seconds"])
        rows.append({"form": form, "seconds a step": step, "images a second": BATCH / step})
        trains = form != LOADER
        rows[-1]["times plain"] = rows[0]["seconds a step"] / step if trains else ""
        rows[-1]["memory of the step, GiB"] = max(result["memory"] for result in results[form]) if trains else ""
        rows[-1]["loss of the last step"] = results[form][0]["losses"][-1] if trains else ""
    write_table(__file__, rows, torch.get_num_threads())
    return None


if __name__ == "__main__":
    main()
