"""What only the chapters need: figures, tasks and their checks, frequencies, widgets."""

from ..packages import extra

with extra("course"):
    import IPython
    import ipywidgets
    import matplotlib

from .record import progress

__all__ = ["progress"]
del IPython, ipywidgets, matplotlib
