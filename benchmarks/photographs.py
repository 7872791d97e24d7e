"""What does a whole photograph cost, from file to file? Seconds, and memory.

    python benchmarks/photographs.py --faces FOLDER

makes photographs of 12, 48 and 108 megapixels with eight faces (see finding.py), and restores each in a process of its
own, its faces put back, its size kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from finding import photograph
from PIL import Image
from timing import write_table

from elsface_lite.data.sources import faces_in

SIDES = {12: [60, 80, 100, 120], 48: [60, 80, 100, 120], 108: [60, 80, 100, 120]}  # of two faces each
CHILD = """
import json, resource, sys, time, torch
torch.set_num_threads(int(sys.argv[4]))
UNIT = 1024**2 if sys.platform == "darwin" else 1024
import elsface_lite as ef
model = ef.optimize(ef.load_pretrained("lite-x4"))
options = json.loads(sys.argv[3])
clock, processor = time.perf_counter(), time.process_time()
(result,) = ef.restore(sys.argv[1], weights=model, paste=True, out=sys.argv[2], **options)
assert result.error is None, result.error
print(json.dumps({
    "faces found": len(result.boxes), "seconds": time.perf_counter() - clock,
    "processor seconds": time.process_time() - processor,
    "file, MB": result.files[0].stat().st_size / 1e6,
    "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // UNIT,
}))
"""


def restored(path: Path, options: dict[str, Any], threads: int) -> dict[str, Any]:
    """What `restore` takes for a photograph."""
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-c", CHILD, str(path), out, json.dumps(options), str(threads)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"faces found": done.stderr.strip().splitlines()[-1][:80]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures restore on photographs made of known faces.")
    parser.add_argument("--faces", type=Path, required=True, help="a folder of aligned faces")
    parser.add_argument("--options", type=json.loads, default={"scale": 1}, help='for restore, as JSON ({"scale": 1})')
    parser.add_argument("--threads", type=int, default=1, help="that PyTorch may use (1)")
    arguments = parser.parse_args()
    faces = [Image.open(path).convert("RGB") for path in faces_in(arguments.faces)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for megapixels, sides in SIDES.items():
            path = Path(folder, f"{megapixels}.jpg")
            photograph(faces, megapixels, sides, [0, 0])[0].save(path, quality=90)
            facts = {"megapixels": megapixels, "photograph, MB": path.stat().st_size / 1e6}
            rows.append(facts | restored(path, arguments.options, arguments.threads))
    columns = dict.fromkeys((column for row in rows for column in row), "")
    write_table(__file__, [columns | row for row in rows], arguments.threads)


if __name__ == "__main__":
    main()
