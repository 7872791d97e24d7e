"""Draws sharp_loss.svg: the loss, and the transfer function of its sharpening."""

import math
from pathlib import Path

from drawing import GREY, KINDS, PALE, Box, Drawing
from face import sharp_face
from paper import HR

import elsface_lite as ef

LOSS = ef.SharpLoss()
KERNEL: list[float] = LOSS.kernel.tolist()
RADIUS = len(KERNEL) // 2
WEIGHT = ef.TrainConfig.paper().sharp_weight
HIGHEST = 0.1  # frequency that panel (c) shows, in cycles per pixel


def draw() -> Drawing:
    """The loss, and beside it what its sharpening does to a wave."""
    d = Drawing(
        278,
        "Sharp Loss",
        "The difference of SR and HR counts twice in the loss, as it is and, with weight 0.05, sharpened. Sharpening "
        "leaves the lowest frequencies as they are and multiplies all others by up to 1.5.",
    )
    d.heading(16, 26, "a", "The loss: the same difference, as it is and sharpened")
    loss_graph(d)
    d.heading(578, 26, "b", "Transfer function of S")
    transfer_curve(d)
    return d


def loss_graph(d: Drawing) -> None:
    """Loss = L1(SR, HR) + 0.05 L1(S(SR), S(HR))."""
    top, low, mid = 100, 186, 143
    sr_and_hr(d, mid)
    minus = d.operation(132, mid, "−")
    l1 = d.box(266, top - 22, 86, 44, "fixed", "mean | · |", "L1")
    sharpen = d.box(180, low - 22, 66, 44, "conv", "S", "sharpen")
    sharp_l1 = d.box(266, low - 22, 86, 44, "fixed", "mean | · |", "Sharp Loss")
    weigh = d.operation(390, low, "×")
    plus = d.operation(462, mid, "+")
    d.dot((158, mid))
    d.line(minus.right, (158, mid))
    d.arrow((158, mid), (158, top), l1.left)
    d.arrow((158, mid), (158, low), sharpen.left)
    d.chain(sharpen.right, sharp_l1, weigh)
    d.text(390, low + 28, str(WEIGHT), font_size=12.5)
    d.arrow(l1.right, (462, top), plus.top)
    d.arrow(weigh.right, (462, low), plus.bottom)
    d.arrow(plus.right, (498, mid))
    d.text(523, mid + 4.5, "Loss", font_weight="bold")
    d.note(158, 240, "S is linear, so S(SR) − S(HR) = S(SR − HR):", "one sharpening of the difference is enough.")


def sr_and_hr(d: Drawing, mid: float) -> None:
    """The two faces, and arrows to the circle at height `mid` that takes their difference."""
    for name, y, end in (("SR", 44, mid - 11), ("HR", 160, mid + 11)):
        face = sharp_face(d, 20, y, 64)
        d.text(52, y + 80, name, font_weight="bold")
        if name == "HR":
            d.shape(52, y + 97, (3, HR, HR), "trace:sr")
        d.arrow(face.right, (132, face.right[1]), (132, end))


def transfer_curve(d: Drawing) -> None:
    """What S multiplies each frequency by."""
    frame, low, high = Box(610, 50, 172, 150), 0.9, 1.6
    d.axes(frame)
    for level in (1.0, 1 + LOSS.amount):
        y = frame.y + frame.h * (high - level) / (high - low)
        d.line((frame.x, y), (frame.x + frame.w, y), dash="3 4", colour=PALE, width=1)
        d.text(604, y + 4, f"{level:.1f}", "end", font_size=12, fill=GREY)
    d.curve(frame, [transfer(HIGHEST * i / 60) for i in range(61)], (low, high), KINDS["conv"][0])
    for tick in (0, 0.05, 0.1):
        d.text(frame.x + frame.w * tick / HIGHEST, 216, f"{tick:g}", font_size=12, fill=GREY)
    d.note(696, 234, "cycles per pixel", anchor="middle")
    d.note(696, 250, "(Nyquist: 0.5)", anchor="middle")


def transfer(frequency: float) -> float:
    """1 + amount (1 - what the Gaussian lets through)."""
    turn = 2 * math.pi * frequency
    return 1 + LOSS.amount * (1 - sum(k * math.cos(turn * (j - RADIUS)) for j, k in enumerate(KERNEL)))


if __name__ == "__main__":
    draw().write(Path(__file__).with_suffix(".svg"))
