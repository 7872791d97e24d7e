"""Faces before any network sees them: files, sources, degradations, LR/HR pairs (chapter 01)."""

from .blind import Blind
from .cache import DecodedFaces, FaceArray
from .degradation import Bicubic, Degradation, downscale, generator, quantize, upscale
from .folders import PairedFolders
from .images import image_size, read_image, write_png
from .inputs import as_batch, as_image
from .named import degradation_named
from .pairs import HR_SIZE, FacePairs, center_crop, load_face, load_faces, split_by_person
from .people import people_by_folder, people_of
from .photograph import Photograph, read_photograph
from .search import find_images
from .sources import Faces, celeba, download_celeba, faces_in, orl_faces, portraits

__all__ = [
    "HR_SIZE",
    "Bicubic",
    "Blind",
    "DecodedFaces",
    "Degradation",
    "FaceArray",
    "FacePairs",
    "Faces",
    "PairedFolders",
    "Photograph",
    "as_batch",
    "as_image",
    "celeba",
    "center_crop",
    "degradation_named",
    "download_celeba",
    "downscale",
    "faces_in",
    "find_images",
    "generator",
    "image_size",
    "load_face",
    "load_faces",
    "orl_faces",
    "people_by_folder",
    "people_of",
    "portraits",
    "quantize",
    "read_image",
    "read_photograph",
    "split_by_person",
    "upscale",
    "write_png",
]
