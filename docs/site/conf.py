"""Settings of the documentation site; ``make docs`` builds it."""

import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent
sys.path.insert(0, str(SITE))

import litehrnet  # noqa: E402

project = "litehrnet"
author = copyright = "The litehrnet maintainers"
version = release = litehrnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "navigation"]
exclude_patterns = ["site"]
root_doc = "index"
suppress_warnings = ["config.cache"]

myst_heading_anchors = 4
# Files that are no pages, such as recipes and notebooks, are downloads.
myst_links_external_new_tab = False

autodoc_inherit_docstrings = False  # what PyTorch says of its methods
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say shapes and units, which types do not
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# No tracking, and no fonts or scripts of other hosts.
html_theme = "furo"
html_title = "litehrnet"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["robots.txt"]
html_copy_source = False  # navigation.py writes the pages as Markdown
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
