"""Draws overview.svg: the whole network, two stages and one upsampling."""

from pathlib import Path

from drawing import KINDS, Box, Drawing
from face import coarse_face, sharp_face
from paper import CHANNELS, FEATURES, GRID, HR, LR, PAPER, STREAMS, WIDE


def draw() -> Drawing:
    """The whole network."""
    d = Drawing(
        404,
        "ELSFace, overview",
        "An LR face enters the Feature Preparation Stage: a head of convolutions makes features, which are enlarged "
        "twice; beside it the latent style encoder writes one style for each stream. The features are split in two "
        "and multiplied by the styles. In the Feature Carving Stage one half passes the CNN stream, the other the "
        "Transformer stream and the High-Frequency Enhancement Blocks. Their sum is upsampled to the SR face.",
    )
    modulate = preparation(d)
    fused = carving(d, modulate)
    upsampling(d, fused)
    legend(d)
    return d


def preparation(d: Drawing) -> Box:
    """LR face, head, styles, and the box in which they meet."""
    mid = 152
    d.group(Box(72, 14, 318, 376), "Feature Preparation Stage")
    lr = coarse_face(d, 16, mid - 16, 32)
    d.text(32, mid + 34, "LR", font_weight="bold")
    d.shape(34, mid + 50, (3, LR, LR), "input")
    head = d.box(98, mid - 34, 98, 68, "conv", "head", f"conv3 3 → {WIDE}", f"{PAPER.head_blocks} × ResBlock")
    d.shape(147, mid + 51, (WIDE, LR, LR), "trace:head")
    enlarge = d.box(216, mid - 26, 62, 52, "fixed", f"× {PAPER.grid}", "bilinear")
    d.shape(247, mid + 51, (WIDE, GRID, GRID), "input:prepare.split")
    modulate = d.box(302, 62, 74, 180, "style")
    encoder = d.box(98, 300, 180, 58, "style", "latent style encoder", "strided convs, linear")
    d.shape(188, 375, (STREAMS, CHANNELS), "trace:style")
    d.chain(lr.right, head, enlarge, modulate)
    d.dot((82, mid))
    d.arrow((82, mid), (82, encoder.left[1]), encoder.left)
    d.arrow(encoder.right, (339, encoder.right[1]), modulate.bottom)
    modulation(d)
    return modulate


def modulation(d: Drawing) -> None:
    """What happens in the box where features and styles meet."""
    for stream, y in enumerate((98, 206)):
        d.operation(339, y, "×")
        d.math(339, y + 28, f"*style*[{stream}]", size=13.5)
    d.text(339, 148, "split and", font_weight="bold")
    d.text(339, 164, "modulate", font_weight="bold")
    d.math(347, 282, "*style*", "start", 14)


def carving(d: Drawing, modulate: Box) -> Box:
    """The two streams and their sum."""
    c, right = PAPER, modulate.x + modulate.w
    d.group(Box(402, 14, 250, 262), "Feature Carving Stage")
    cnn = d.box(424, 66, 154, 64, "conv", "CNN stream", f"conv3, {c.cnn_blocks} × ResBlock, k{c.cnn_kernel}",
                f"{c.cnn_recursions} passes, same weights")  # fmt: skip
    d.shape(501, 147, FEATURES, "trace:cnn")
    attention = d.box(418, 174, 98, 64, "attention", "Transformer", "RSTB", f"{c.rstb_recursions} passes")
    d.shape(467, 255, FEATURES, "trace:transformer")
    hfeb = d.box(536, 174, 62, 64, "detail", "HFEB", f"{c.hfebs} blocks")
    d.shape(567, 255, FEATURES, "trace:hfeb")
    plus = d.operation(626, 152, "+")
    d.shape(609, 162, FEATURES, "trace:fused", "end")
    d.arrow((right, 98), cnn.left)
    d.chain((right, 206), attention, hfeb)
    d.arrow(cnn.right, (626, 98), plus.top)
    d.arrow(hfeb.right, (626, 206), plus.bottom)
    return plus


def upsampling(d: Drawing, fused: Box) -> None:
    """From the sum to the SR face, drawn four times as wide as the LR face."""
    c, enlarge = PAPER, PAPER.scale // PAPER.grid
    box = d.box(674, 112, 112, 80, "conv", "upsampling", f"conv3 {CHANNELS} → {c.out_channels * enlarge**2}",
                f"pixel shuffle {enlarge}", f"conv3 {c.out_channels} → 3")  # fmt: skip
    sr = sharp_face(d, 666, 222, 128)
    d.text(700, 372, "SR", font_weight="bold")
    d.shape(716, 372, (3, HR, HR), "trace:sr", "start")
    d.arrow(fused.right, box.left)
    d.arrow(box.bottom, sr.top)


def legend(d: Drawing) -> None:
    """What the colours and the grey numbers mean."""
    rows = (("conv", "convolutions"), ("attention", "attention"), ("detail", "high frequencies"), ("style", "styles"),
            ("fixed", "nothing learned"))  # fmt: skip
    for i, (kind, words) in enumerate(rows):
        x, y = 408 + 124 * (i % 2), 298 + 20 * (i // 2)
        stroke, fill = KINDS[kind]
        d.add("rect", x=x, y=y, width=16, height=12, rx=2, fill=fill, stroke=stroke, stroke_width=1.4)
        d.text(x + 23, y + 10.5, words, "start", font_size=12)
    d.note(408, 370, "Grey numbers: the shape that leaves a box,", "channels × height × width.")


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
