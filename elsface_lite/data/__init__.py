"""Faces before any network sees them: files, sources, degradations, LR/HR pairs (chapter 01)."""

from .degradation import downscale, quantize, upscale
from .images import find_images, read_image, write_png
from .pairs import HR_SIZE, FacePairs, center_crop, load_face, load_faces, split_by_person
from .sources import Faces, celeba, download_celeba, faces_in, orl_faces, people_of, portraits

__all__ = [
    "HR_SIZE",
    "FacePairs",
    "Faces",
    "celeba",
    "center_crop",
    "download_celeba",
    "downscale",
    "faces_in",
    "find_images",
    "load_face",
    "load_faces",
    "orl_faces",
    "people_of",
    "portraits",
    "quantize",
    "read_image",
    "split_by_person",
    "upscale",
    "write_png",
]
