"""The documentation site: the chapters and pages of this repository as they are, without a copy of any.

`make docs` builds it without a network. The source folder is the repository itself, so that links and pictures are
those that GitHub shows.
"""

import sys
import tomllib
from pathlib import Path

import elsface_lite

sys.path.insert(0, str(Path(__file__).parent))

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]

project = "elsface-lite"
author = "The elsface-lite authors"
copyright = f"2026, {author}"
release = elsface_lite.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "extension", "home"]
root_doc = "README"
include_patterns = [
    "*.md", "benchmarks/*.md", "data/*.md", "docs/*.md", "elsface_lite/weights/*.md", "figures/*.md", "figures/*/*.md",
    "notebooks/[0-9][0-9]_*.ipynb",
]  # fmt: skip
exclude_patterns = [".*", "build", "dist", "runs", "restored", "demo"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "extension.jupyter_slug"
# One line for arguments that are described together, as in "height, width: ...".
napoleon_use_param = False
napoleon_custom_sections = [("Attributes", "params_style")]
default_role = "literal"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# A name that both pages of the reference describe is found on either.
suppress_warnings = ["ref.python"]
maximum_signature_line_length = 80
python_use_unqualified_type_names = True

# What names no language is what one types in a shell, or a text.
highlight_language = "text"
html_theme = "furo"
pygments_dark_style = "monokai"
html_title = "elsface-lite"
html_favicon = "../web/icon.svg"
html_static_path = [
    "_static",
    "../elsface_lite/course/widgets/live.js",
    "../figures/portrait/before.webp",
    "../figures/portrait/after.webp",
]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "",
    "footer_icons": [{"name": "The repository on GitHub", "url": REPOSITORY, "html": "GitHub", "class": ""}],
}
html_copy_source = False
html_domain_indices = False
html_math_renderer = "mathml"
