"""The sizes in the diagrams: those of the paper's network, given a face of 32×32."""

import elsface_lite as ef

PAPER = ef.ELSFaceConfig.paper()
LR = 32
GRID = LR * PAPER.grid
HR = LR * PAPER.scale
CHANNELS = PAPER.channels
STREAMS = 2
WIDE = STREAMS * CHANNELS
FEATURES = (CHANNELS, GRID, GRID)
TOKENS = (GRID, GRID, CHANNELS)
