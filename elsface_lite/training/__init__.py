"""Losses, optimizer, trainer, and the folder of a run (chapters 05 and 06)."""
