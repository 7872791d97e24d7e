"""Widgets of the course, one file a chapter. Each is a function that takes a face or a model and gives an ipywidget.

A widget can be driven from code: a box whose `controls` are its sliders and menus by name, and whose `picture` is the
HTML that they redraw.
"""

from .degradation import degradation_explorer, uploaded_face, uploads
from .frequency import frequency_explorer
from .metrics import distort, metric_explorer, through_jpeg

__all__ = [
    "degradation_explorer",
    "distort",
    "frequency_explorer",
    "metric_explorer",
    "through_jpeg",
    "uploaded_face",
    "uploads",
]
