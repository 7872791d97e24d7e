"""What only the chapters need: figures, checks of exercises, frequencies, widgets."""

from ..packages import extra

with extra("course"):
    import IPython
    import ipywidgets
    import matplotlib

__all__: list[str] = []
del IPython, ipywidgets, matplotlib
