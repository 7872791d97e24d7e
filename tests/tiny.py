"""A training so small that its tests take seconds."""

TINY = [
    "model.channels=8", "model.heads=2", "model.hfebs=1", "model.hfeb_blocks=1", "model.rstb_recursions=1",
    "train.batch_size=4", "train.epochs=3", "train.warmup=0.13", "train.validate_every=4",
    "train.checkpoint_every=2", "train.log_every=1", "data.held_out=4",
]  # fmt: skip
