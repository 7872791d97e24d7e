"""Draws every diagram of the course anew: `python figures/all.py`."""

import runpy

for name in ("overview", "style_encoder", "cnn_stream", "rstb", "hfeb", "unsharp_mask", "sharp_loss"):
    runpy.run_module(name, run_name="__main__")
