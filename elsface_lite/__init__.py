"""ELSFace face super-resolution: a network that a course builds, and the module to keep using.

The network is that of Qi, Qiu, Luo, Jin, IEEE Transactions on Multimedia 26, 2024, doi 10.1109/TMM.2023.3283856.
"""

from .degradation import downscale, quantize, upscale
from .errors import ElsfaceError
from .faces import Box, crop_face, find_faces, paste_face
from .images import read_image, write_png
from .losses import SharpLoss
from .model import ELSFace, ELSFaceConfig
from .optimize import optimize
from .restore import Restored, restore
from .weights import load_pretrained, pretrained_names, save_pretrained

__version__ = "0.1.0"

__all__ = [
    "Box",
    "ELSFace",
    "ELSFaceConfig",
    "ElsfaceError",
    "Restored",
    "SharpLoss",
    "__version__",
    "crop_face",
    "downscale",
    "find_faces",
    "load_pretrained",
    "optimize",
    "paste_face",
    "pretrained_names",
    "quantize",
    "read_image",
    "restore",
    "save_pretrained",
    "upscale",
    "write_png",
]
