"""How often a stress test tries: a share in `make test`, all of it with STRESS=1, as in docs/reliability.md."""

import os


def times(everything: int, share: int) -> int:
    return everything if os.environ.get("STRESS") else share
