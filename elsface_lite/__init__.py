"""ELSFace face super-resolution: a network that a course builds, and the module to keep using.

The network is that of Qi, Qiu, Luo, Jin, IEEE Transactions on Multimedia 26, 2024, doi 10.1109/TMM.2023.3283856.

`import elsface_lite as ef` gives every public name, flat; each is loaded when it is first used. The list of them, with
the room that each lives in, is `__init__.pyi`, which type checkers read as well.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
