"""ELSFace: two streams between one preparation and one upsampling (chapter 06).

Qi, Qiu, Luo, Jin: An Efficient Latent Style Guided Transformer-CNN Framework for Face Super-Resolution,
IEEE Transactions on Multimedia 26, 2024, doi 10.1109/TMM.2023.3283856.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ..config import AnyConfig, Config, Fields, preset
from .blocks import conv
from .cnn import CNNStream
from .hfeb import HFEB
from .pretrained import Pretrained
from .reference import to_lite_state_dict
from .style import FeaturePreparation, StyleMode
from .transformer import TransformerStream

Streams = Literal["both", "cnn", "transformer"]


@dataclass(frozen=True, kw_only=True)
class ELSFaceConfig(Config):
    """Every choice that defines an ELSFace network. The defaults are the authors' network at x4.

    Args:
        scale: output pixels per input pixel along a side: 2, 3, 4, 8 or 16.
        channels: channels of each stream.
        streams: "both", or only one of them ("cnn", "transformer").
        grid: the streams work at `grid` times the LR resolution: 1 or 2.
        head_blocks: residual blocks of the head.
        style: "scale" multiplies features by their latent style (the paper), "residual" by 1 + style, "none" leaves
            the encoder out.
        cnn_blocks, cnn_kernel, cnn_recursions: residual blocks of the CNN stream, their kernel size, and how often
            the stream is applied (1: no recursion).
        depth: Swin layers in the RSTB; from 2 on, every second one shifts its windows.
        heads, window, mlp_ratio: attention heads, side of a window in tokens (even), MLP width over channels.
        rstb_recursions: how often the RSTB is applied (1: no recursion).
        transformer_skip: whether the features also go around the Transformer stream.
        hfebs, hfeb_blocks, hfeb_kernel: High-Frequency Enhancement Blocks (0: none), residual blocks in each, and
            their kernel size.
        hfeb_skip: whether the features also go around the high-pass of each HFEB.
        out_channels: channels at the output resolution, before the last convolution.
        bicubic_skip: whether the network only adds to a bicubic enlargement.

    Raises:
        ValueError: a combination that cannot be built, with the reason.
    """

    scale: int = 4
    channels: int = 60
    streams: Streams = "both"
    grid: int = 2
    head_blocks: int = 3
    style: StyleMode = "scale"
    cnn_blocks: int = 2
    cnn_kernel: int = 5
    cnn_recursions: int = 2
    depth: int = 1
    heads: int = 6
    window: int = 8
    mlp_ratio: int = 2
    rstb_recursions: int = 3
    transformer_skip: bool = False
    hfebs: int = 4
    hfeb_blocks: int = 5
    hfeb_kernel: int = 5
    hfeb_skip: bool = False
    out_channels: int = 60
    bicubic_skip: bool = False

    def check(self) -> None:
        if self.scale not in (2, 3, 4, 8, 16):
            raise ValueError(f"scale must be 2, 3, 4, 8 or 16, not {self.scale}.")
        if self.grid not in (1, 2):
            raise ValueError(f"grid must be 1 (streams at the LR grid) or 2 (at twice that), not {self.grid}.")
        self.check_least(1, "channels", "cnn_recursions", "depth", "heads", "window", "mlp_ratio", "rstb_recursions")
        self.check_least(0, "head_blocks", "cnn_blocks", "hfebs", "hfeb_blocks")
        self.check_least(1, "cnn_kernel", "hfeb_kernel", "out_channels")
        self.check_size()
        self.check_combinations()

    def check_size(self) -> None:
        """Raises ValueError for a network of absurd size, since a config may come with weights from anywhere."""
        for name, value in self.to_dict().items():
            most = {"window": 32, "depth": 64}.get(name, 1024)
            if isinstance(value, int) and value > most:
                raise ValueError(f"{name} must be at most {most}, not {value}.")

    def check_combinations(self) -> None:
        """Raises ValueError for values that are possible one by one, but not together."""
        for name in ("cnn_kernel", "hfeb_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(
                    f"{name} must be odd, so that a convolution keeps the size: not {getattr(self, name)}."
                )
        if self.scale % self.grid:
            raise ValueError(f"grid {self.grid} does not divide the scale {self.scale}: set grid=1.")
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.channels} channels.")
        if self.window % 2:
            raise ValueError(f"window must be even, so that it can shift by half of itself: not {self.window}.")
        if self.hfeb_skip and not self.hfebs:
            raise ValueError("hfeb_skip is set, but hfebs is 0: there is no HFEB to skip.")
        if self.streams == "cnn" and self.hfebs:
            raise ValueError("HFEBs end the Transformer stream: with streams='cnn', set hfebs=0.")

    @classmethod
    def paper(cls: Callable[Fields, AnyConfig], *none: Fields.args, **changes: Fields.kwargs) -> AnyConfig:
        """The authors' network (6,620,733 parameters at x4), with changes if any are named."""
        return preset(cls, {}, *none, **changes)

    @classmethod
    def lite(cls: Callable[Fields, AnyConfig], *none: Fields.args, **changes: Fields.kwargs) -> AnyConfig:
        """Ours: both streams at the LR grid, 3x3 kernels, a bicubic skip; see docs/networks.md for what it costs."""
        lite: dict[str, Any] = dict(
            channels=48, grid=1, head_blocks=0, style="residual", cnn_blocks=1, cnn_kernel=3, heads=4,
            rstb_recursions=1, transformer_skip=True, hfebs=1, hfeb_blocks=24, hfeb_kernel=3, hfeb_skip=True,
            out_channels=12, bicubic_skip=True,
        )  # fmt: skip
        return preset(cls, lite, *none, **changes)


class ELSFace(Pretrained):
    """The network: (b, 3, h, w) RGB in [0, 1] -> (b, 3, scale h, scale w), not clamped. Any h and w.

    Trained weights: `ELSFace.from_pretrained("lite-x4")`; see `Pretrained`.

    Args:
        config: what to build; `ELSFaceConfig.paper()` if None.
    """

    config_class = ELSFaceConfig

    def __init__(self, config: ELSFaceConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or ELSFaceConfig.paper()
        streams = 2 if c.streams == "both" else 1
        self.prepare = FeaturePreparation(c.channels, streams, c.head_blocks, c.grid, c.style)
        self.cnn = self.transformer = None
        if c.streams != "transformer":
            self.cnn = CNNStream(c.channels, c.cnn_blocks, c.cnn_kernel, c.cnn_recursions)
        if c.streams != "cnn":
            self.transformer = TransformerStream(
                c.channels, c.depth, c.heads, c.window, c.mlp_ratio, c.rstb_recursions, c.transformer_skip
            )
        self.hfebs = nn.Sequential(
            *(HFEB(c.channels, c.hfeb_blocks, c.hfeb_kernel, c.hfeb_skip) for _ in range(c.hfebs))
        )
        enlarge = c.scale // c.grid
        self.upsample = nn.Sequential(
            conv(c.channels, c.out_channels * enlarge**2), nn.PixelShuffle(enlarge), conv(c.out_channels, 3)
        )
        if c.bicubic_skip:  # start as bicubic: untrained streams are far louder than all that it lacks (chapter 06)
            nn.init.zeros_(self.upsample[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.upsample[-1].bias)  # type: ignore[arg-type]

    def forward(self, lr: Tensor) -> Tensor:
        return self._run(lr, {})

    def trace(self, lr: Tensor) -> dict[str, Tensor]:
        """Runs the network and keeps what lies between, for plots and widgets.

        Args:
            lr: (b, 3, h, w), RGB in [0, 1].

        Returns:
            In order: `head` (b, s c, h, w), `style` (b, s, c), `cnn`, `transformer`, `hfeb` and `fused`
            (b, c, grid h, grid w), `sr` (b, 3, scale h, scale w), where s is the number of streams and c the
            channels of one. A part that the config leaves out is left out here: `cnn` or `transformer` and `hfeb`
            with one stream only, `style` without styles, `hfeb` without HFEBs.
        """
        trace: dict[str, Tensor] = {}
        trace["sr"] = self._run(lr, trace)
        return trace

    def _run(self, lr: Tensor, trace: dict[str, Tensor]) -> Tensor:
        inputs = list(self.prepare(lr, trace).unbind(1))
        outputs = []
        if self.cnn is not None:
            trace["cnn"] = self.cnn(inputs.pop(0))
            outputs.append(trace["cnn"])
        if self.transformer is not None:
            x = trace["transformer"] = self.transformer(inputs.pop(0))
            if len(self.hfebs):
                x = trace["hfeb"] = self.hfebs(x)
            outputs.append(x)
        fused = trace["fused"] = sum(outputs)  # type: ignore[assignment]
        sr = self.upsample(fused)
        if self.config.bicubic_skip:
            sr = sr + F.interpolate(lr, scale_factor=self.config.scale, mode="bicubic")
        return sr

    def load_reference_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads weights that carry the authors' names, and turns their BGR into our RGB.

        Args:
            state: a state dict of the authors' network (FVL2020/ELSFace). The prefix `module.` of DataParallel is
                accepted; the mean-shift entries that are never called, and the buffers `relative_position_index`
                and `attn_mask`, may be there or not.

        Raises:
            ValueError: names every key that is missing, unexpected or of the wrong shape. The model is unchanged.
        """
        self.load_state_dict(to_lite_state_dict(state, self.state_dict()))
