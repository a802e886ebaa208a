"""How Sphinx builds this documentation: `tox run -e docs`."""

import os
import sys

sys.path.insert(0, os.path.abspath(".."))

import kcompat

project = "kcompat"
author = "the kcompat developers"
copyright = "the kcompat developers, Apache-2.0"
version = release = kcompat.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
# An XML-like comment is a comment in Markdown, and what the tests of the pages read.
suppress_warnings = ["myst.header"]
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types are in the docstrings, with shapes and dtypes
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Off line there is nothing to look up; what is linked within this documentation is checked either way.
intersphinx_mapping = {}

html_theme = "furo"
html_title = "kcompat {}".format(version)
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_theme_options = {
    "source_repository": "",
    "top_of_page_buttons": [],
}
html_show_sphinx = False

# Single backquotes in docstrings are code here, as in Markdown.
default_role = "code"
