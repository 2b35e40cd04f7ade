"""Sphinx configuration; the build is `nox -s docs`, without a network."""

from __future__ import annotations

import pathlib
import sys

from sphinx.application import Sphinx

import xp2p_trio

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project = "xp2p_trio"
author = "the xp2p_trio contributors"
project_copyright = "2026, the xp2p_trio contributors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",
    "rfc_coverage",
    "state_table",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = "xp2p_trio"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "__init__, __new__, __weakref__",
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Names such as Configuration and Connection exist once a layer: a short name in a docstring may mean several.
suppress_warnings = ["ref.python"]


def skip_what_has_another_home(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Document a class once: on the page of its layer, unless trio programs get it from `xp2p_trio` itself."""
    docname = app.env.docname
    if not docname.startswith("layers/"):
        return None
    home = getattr(member, "__module__", None) or ""
    is_foreign = home.startswith("xp2p_trio.") and home.split(".")[1] != docname.removeprefix("layers/")
    is_public = name in xp2p_trio.__all__ and getattr(xp2p_trio, name) is member
    return True if is_foreign or is_public else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_what_has_another_home)
