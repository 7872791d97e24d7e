"""The network, a file for each of its parts, and its trained weights (chapters 02, 03, 04, 06)."""
