"""From pictures to restored pictures: finding faces, restoring, putting back, other runtimes (chapters 00, 10)."""
