"""Widgets of the course, by chapter. Each is a function that takes a face or a model and gives an ipywidget.

A widget can be driven from code: a box whose `controls` are its sliders and menus by name, and whose `picture` is the
HTML that they redraw.
"""

from .ablations import ablation_explorer
from .attention import attention_explorer
from .blind import blind_preview
from .degradation import degradation_explorer, uploaded_face, uploads
from .frequency import frequency_explorer
from .hfeb import hfeb_explorer
from .metrics import distort, metric_explorer, through_jpeg
from .photo import photo_restorer
from .progress import progress_slider
from .receptive_field import receptive_field_explorer
from .sharpening import sharpening_explorer
from .sharpness import sharpness_explorer
from .style import style_mixer
from .training import training_curves

__all__ = [
    "ablation_explorer",
    "attention_explorer",
    "blind_preview",
    "degradation_explorer",
    "distort",
    "frequency_explorer",
    "hfeb_explorer",
    "metric_explorer",
    "photo_restorer",
    "progress_slider",
    "receptive_field_explorer",
    "sharpening_explorer",
    "sharpness_explorer",
    "style_mixer",
    "through_jpeg",
    "training_curves",
    "uploaded_face",
    "uploads",
]
