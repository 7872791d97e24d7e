"""What a restored face is worth: metrics of pairs and of sets, and a table of them (chapter 07)."""

from .evaluator import (
    DEFAULT_METRICS,
    IMAGE_METRICS,
    SET_METRICS,
    SR_METRICS,
    Evaluator,
    Metric,
    Row,
    bootstrap_interval,
)
from .image import embed, identity, lpips, luma, mae, psnr, ssim
from .sets import fid, frechet_distance, inception_features, kernel_distance, kid

__all__ = [
    "DEFAULT_METRICS",
    "IMAGE_METRICS",
    "SET_METRICS",
    "SR_METRICS",
    "Evaluator",
    "Metric",
    "Row",
    "bootstrap_interval",
    "embed",
    "fid",
    "frechet_distance",
    "identity",
    "inception_features",
    "kernel_distance",
    "kid",
    "lpips",
    "luma",
    "mae",
    "psnr",
    "ssim",
]
