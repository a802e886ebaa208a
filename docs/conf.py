"""How Sphinx builds this documentation: `tox run -e docs`."""

import os
import pathlib
import re
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
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "Attributes")]

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

# Pages of the repository that are read there, and as pages here: page -> file.
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_ELSEWHERE = {
    "changes": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "undertow": "examples/undertow/README.md",
}


def _moved(page, text):
    """A page's text, its links those of this documentation."""
    if page in _ELSEWHERE:
        text = (_ROOT / _ELSEWHERE[page]).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?:\.\./)*docs/([\w.#-]+)\)", r"](\1)", text)
        text = text.replace("](../../README.md)", "](index.md)")
    for name, file in _ELSEWHERE.items():
        text = text.replace("](../{})".format(file), "]({}.md)".format(name))
    return text


def _as_restructured_text(app, what, name, obj, options, lines):
    """Formulas in docstrings: `|g|`, `a * b` and `lambda_` are markup to reStructuredText."""
    for i, line in enumerate(lines):
        argument = re.match(r"\s*[\w, ]+: ", line)  # napoleon's, which escapes it itself
        start = argument.end() if argument and line.startswith(" ") else 0
        parts = line[start:].split("`")
        parts[::2] = [re.sub(r"(?<=\w)_(?!\w)|[|*]", r"\\\g<0>", part) for part in parts[::2]]
        for after in range(2, len(parts), 2):
            if parts[after][:1].isalnum():  # as in `LazyArray`s
                parts[after] = "\\ " + parts[after]
        lines[i] = line[:start] + "`".join(parts)


# Where a long name in code may go on in the next line: after a point, an underscore and the like, and before
# a capital. A browser by itself would break it at any letter, or not at all.
_WHOLE = re.compile(r"((?<![\w-])--?[a-z]\w*|\d+e-\d+)")  # options and numbers
_JOINTS = re.compile(r"(?<=[._/=(,:])(?=[\w'\"(\[{-])|(?<=[A-Za-z0-9])(?=[A-Z][a-z])")


def _with_joints(html):
    """A page whose names in code have joints; what is copied from it, or found in it, is the same."""

    def jointed(match):
        text = re.split(r"(&#?\w+;)", match.group(2))  # entities stay whole
        text[::2] = [_WHOLE.sub(r"<span>\1</span>", _JOINTS.sub("<wbr>", part)) for part in text[::2]]
        return match.group(1) + "".join(text) + match.group(3)

    return re.sub(r'(<span class="pre">)([^<]+)(</span>)', jointed, html)


def setup(app):
    """Connects them."""

    def read(app, page, source):
        source[0] = _moved(page, source[0])

    def write(app, page, template, context, doctree):
        if "body" in context:
            context["body"] = _with_joints(context["body"])

    app.connect("source-read", read)
    app.connect("html-page-context", write)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)
