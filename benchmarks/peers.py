"""Other networks on the same road: each is trained on the same faces, for the same minutes, by the same recipe.

    make bench-peers FACES=DIR PEOPLE=CSV    # writes benchmarks/peers.csv
    python benchmarks/peers.py --faces DIR MORE --validation HELD_OUT --minutes 6 --networks NAME ... --csv FILE

Every network corrects bicubic, as lite does, and is trained by the preset `lite` (batches of 8, without mirror symmetry
but in the line that names it) for so many minutes of one core, whatever it makes of them; the learning rate falls with
the time that is left. The core's own clock counts, so that other work on the machine takes nothing away. A network that
was trained already, for as many minutes in the same precision, is only timed again.
"""

import argparse
import copy
import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from spandrel.architectures.OmniSR import OmniSR
from spandrel.architectures.SAFMN import SAFMN
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from elsface_lite.data.degradation import quantize
from elsface_lite.files import whole_file
from elsface_lite.inference.device import machine
from elsface_lite.metrics.image import lpips, psnr, ssim
from elsface_lite.network.blocks import ResidualBlock, conv
from elsface_lite.network.elsface import ELSFace, ELSFaceConfig
from elsface_lite.training.batches import Pair
from elsface_lite.training.config import TrainConfig
from elsface_lite.training.faces import pairs_of
from elsface_lite.training.run_config import RunConfig
from elsface_lite.training.symmetry import MirrorSymmetry
from elsface_lite.training.trainer import Trainer

SCALE = 4
SYMMETRIC = "ELSFace lite, symmetric"


class EDSR(nn.Module):
    """EDSR-baseline (Lim et al. 2017): residual blocks with a long skip, then two pixel shuffles of 2."""

    def __init__(self, channels: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.head = conv(3, channels)
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)), conv(channels, channels))
        enlarge = [layer for _ in range(2) for layer in (conv(channels, 4 * channels), nn.PixelShuffle(2))]
        self.tail = nn.Sequential(*enlarge, conv(channels, 3))

    def forward(self, lr: Tensor) -> Tensor:
        x = self.head(lr)
        return self.tail(x + self.body(x))


class OverBicubic(nn.Module):
    """A network that only adds to a bicubic enlargement. Its config says the scale, as the trainer asks."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.config = body, ELSFaceConfig.lite()

    def forward(self, lr: Tensor) -> Tensor:
        return self.body(lr) + F.interpolate(lr, scale_factor=SCALE, mode="bicubic")


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ELSFace lite": lambda: ELSFace(ELSFaceConfig.lite()),
    SYMMETRIC: lambda: ELSFace(ELSFaceConfig.lite()),
    "ELSFace, one HFEB": lambda: ELSFace(ELSFaceConfig.lite(channels=64, hfebs=1, hfeb_blocks=12)),
    "ELSFace, two HFEBs": lambda: ELSFace(ELSFaceConfig.lite(channels=64, hfebs=2, hfeb_blocks=5)),
    "EDSR-baseline": lambda: OverBicubic(EDSR()),
    "EDSR (10 blocks)": lambda: OverBicubic(EDSR(blocks=10)),  # about lite's multiply-adds
    "SwinIR-light": lambda: OverBicubic(
        SwinIR(
            img_size=32, window_size=8, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, mlp_ratio=2, upscale=SCALE,
            upsampler="pixelshuffledirect",
        )
    ),
    "SAFMN": lambda: OverBicubic(SAFMN(dim=36)),
    "SPAN": lambda: OverBicubic(SPAN(num_in_ch=3, num_out_ch=3, norm=False)),
    "Omni-SR": lambda: OverBicubic(OmniSR(num_feat=64, res_num=5, up_scale=SCALE)),
}  # fmt: skip


ENOUGH = 10_000  # epochs, which no run comes to


class PeerTrainer(Trainer):
    """The course's trainer, for a time instead of a number of epochs."""

    def __init__(self, name: str, minutes: float, precision: str, pairs: tuple[Dataset[Pair], Dataset[Pair]]) -> None:
        config = TrainConfig.lite(batch_size=8, epochs=ENOUGH, precision=precision, symmetric=name == SYMMETRIC)
        torch.manual_seed(config.seed)
        network = NETWORKS[name]()
        if config.symmetric:
            MirrorSymmetry(network).start(network)
        self.seconds, self.started = 60 * minutes, time.process_time()
        super().__init__(network, *pairs, config=config)

    @property
    def progress(self) -> float:
        """The share of the time that is over."""
        return (time.process_time() - self.started) / self.seconds

    @property
    def steps_per_epoch(self) -> float:
        """How many steps there will be at the present pace: the learning rate falls with the time, to zero."""
        return max(self.step, 1) / self.progress / ENOUGH

    def run(self) -> nn.Module:
        """Trains until the time is over; returns the averaged network."""
        while self.progress < 1:
            self.train_step()
        return self.ema


@torch.inference_mode()
def measure(network: nn.Module, pairs: Dataset[Pair]) -> dict[str, float]:
    """Means over pairs."""
    values = []
    for lr, hr in DataLoader(pairs, 16):
        sr = quantize(network(lr))
        values.append(torch.stack([psnr(sr, hr), ssim(sr, hr), lpips(sr, hr)]))
    return dict(zip(("psnr", "ssim", "lpips"), torch.cat(values, 1).mean(1).tolist(), strict=True))


@torch.inference_mode()
def milliseconds(networks: dict[str, nn.Module], rounds: int = 30) -> dict[str, float]:
    """Median time of one face, float32, channels last; all take turns, so that a slow moment meets all of them."""
    for network in networks.values():
        fuse(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    lr = torch.rand(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds + 3):
        for name, network in networks.items():
            started = time.perf_counter()
            network(lr)
            if turn >= 3:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def fuse(network: nn.Module) -> None:
    """Makes one convolution of each of SPAN's, once: it does so at every call. Other networks stay as they are."""
    for module in network.modules():
        if hasattr(module, "eval_conv"):
            module.update_params()
            module.update_params = lambda: None
            module.conv = module.sk = nn.Identity()


def size(network: nn.Module) -> dict[str, float]:
    """Parameters that inference needs, and multiply-adds for a face of 128x128, in 1e9."""
    network = copy.deepcopy(network)
    fuse(network)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.rand(1, 3, 32, 32))
    return {"parameters": sum(p.numel() for p in network.parameters()), "gmac": counter.get_total_flops() / 2e9}


def trained(name: str, arguments: argparse.Namespace) -> tuple[nn.Module, dict[str, float]]:
    """A network after its minutes and its line of the table: from its file, or trained now."""
    file = arguments.runs / f"{name}.pt"
    recipe = f"{arguments.minutes:g} minutes, precision {arguments.precision}"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        if (found := saved.get("recipe", "who knows how long")) != recipe:
            raise SystemExit(f"{file} was trained for {found}, not {recipe}: choose other --runs.")
        network = NETWORKS[name]().eval()
        network.load_state_dict(saved["state"])
        return network, saved["row"] | size(network)
    data = {field: getattr(arguments, field) for field in ("faces", "people", "validation")}
    pairs = pairs_of(RunConfig.from_dict({"data": data}), arguments.runs / name)
    trainer = PeerTrainer(name, arguments.minutes, arguments.precision, pairs)
    network = trainer.run()
    row = size(network) | {"core_minutes": arguments.minutes, "faces_seen": trainer.step * trainer.config.batch_size}
    row |= measure(network, pairs[1])
    with whole_file(file) as beside:
        torch.save({"state": network.state_dict(), "row": row, "recipe": recipe}, beside)
    return network, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, nargs="+", help="folders of HR faces")
    parser.add_argument("--people", nargs="+", default=[], help="tables with the columns file,identity")
    help = "folders of faces to measure on, for people held out"
    parser.add_argument("--validation", nargs="+", default=[], help=help)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS, metavar="NAME")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--minutes", type=float, default=8, help="of one core, for each network")
    parser.add_argument("--runs", type=Path, default=Path("runs/peers"))
    parser.add_argument("--precision", default="bf16", help='"no" where the processor does not compute in bfloat16')
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    networks, rows = {}, {}
    torch.set_num_threads(1)
    for name in arguments.networks:
        networks[name], rows[name] = trained(name, arguments)
        print(name, rows[name], flush=True)
    for name, value in milliseconds(networks).items():
        rows[name]["milliseconds"] = value
    with whole_file(arguments.csv) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", *rows[arguments.networks[0]], "machine"])
        for name, row in rows.items():
            writer.writerow([name, *(f"{value:.5g}" for value in row.values()), machine()])


if __name__ == "__main__":
    main()
