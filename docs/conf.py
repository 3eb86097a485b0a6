"""Sphinx's settings for the site that `make docs` builds: no network is needed, and warnings are errors.

Two kinds of pages are written by this file, since as copies they would go stale: the API reference, from the
public names of the packages, and the notebooks, which lie beside this folder.
"""

from __future__ import annotations

import inspect
import shutil
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import convexrelu

HERE = Path(__file__).parent
GALLERY = "gallery/index"

project = "convexrelu"
author = "The convexrelu developers"
copyright = author  # noqa: A001  Sphinx's name
version = release = convexrelu.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
# Formulas in plain text are indented blocks, as code is: a block of code says its language.
highlight_language = "none"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4

# The gallery is executed; notebooks come with their outputs, which `make notebooks` compares with the code's.
nb_execution_mode = "force"
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True

autodoc_typehints = "none"
autosummary_generate = True
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "convexrelu"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "references": []}

# In this order; the sentence below a heading is the package's own first line.
PACKAGES = {
    "solvers": "Solving",
    "certificates": "Certificates",
    "estimator": "Estimators",
    "networks": "Networks",
    "losses": "Losses",
    "datasets": "Data",
    "verify": "Descent, judged",
    "training": "Training",
    "oracle": "The oracle",
    "arrangements": "Arrangements",
    "programs": "Convex programs",
    "ncf": "The neural correlation function",
    "pursuit": "Neuron Pursuit",
    "saddles": "Saddles",
    "plotting": "Figures",
    "planar": "The geometry of the plane",
    "papers": "Papers, reproduced",
    "errors": "Errors",
    "check": "The checker",
}


def _summary(title: str, names: list[str]) -> list[str]:
    """Return a table of names, each of which gets a page."""
    options = ["   :toctree: generated", "   :nosignatures:"]
    return [
        f".. rubric:: {title}",
        "",
        ".. autosummary::",
        *options,
        "",
        *(f"   {name}" for name in names),
        "",
    ]


def _section(package: str, heading: str) -> list[str]:
    """Return a package's part of the reference: its names at the top level first, then the others."""
    module = import_module(f"convexrelu.{package}")
    top = [name for name in convexrelu.__all__ if convexrelu._MODULE_OF.get(name) == package]
    names = getattr(module, "__all__", [])
    rest = [name for name in names if name not in top and callable(getattr(module, name))]
    plain = [name for name in names if name not in top and name not in rest]
    sentence = (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")
    lines = [heading, "-" * len(heading), "", f"``convexrelu.{package}``. {sentence}", ""]
    if top:
        lines += _summary("``convexrelu``", [f"convexrelu.{name}" for name in top])
    if rest:
        lines += _summary(f"``convexrelu.{package}``", [f"convexrelu.{package}.{name}" for name in rest])
    if plain:
        lines += ["Constants: " + ", ".join(f"``{name}``" for name in plain) + ".", ""]
    return lines


def _write_reference() -> None:
    """Write the page that lists every public name, by package."""
    lines = [
        "API reference",
        "=============",
        "",
        "Every public name. Those of ``convexrelu`` itself are a contract, those of a package may move.",
        "",
    ]
    for package, heading in PACKAGES.items():
        lines += _section(package, heading)
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    (folder / "index.rst").write_text("\n".join(lines), encoding="utf-8")


def _copy_notebooks() -> None:
    """Bring the notebooks into the source folder of the site."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        shutil.copyfile(notebook, folder / notebook.name)


def _skip(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:  # noqa: ARG001
    """Leave out what a class inherits from other packages: scikit-learn documents its own."""
    function = getattr(member, "fget", member)
    module = getattr(inspect.unwrap(function), "__module__", None) if callable(function) else None
    return True if module and not module.startswith("convexrelu") else None


def _show_gallery(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:  # noqa: ARG001
    """Add the examples to the gallery's page, each with its first picture."""
    if page != GALLERY:
        return
    first: dict[str, str] = {}
    for documents, file in app.env.images.values():
        for name in documents:
            first.setdefault(name, file)
    context["body"] += '<div class="gallery">'
    for name in app.env.toctree_includes[GALLERY]:
        picture = ""
        if name in first:
            picture = f'<img src="{context["pathto"]("_images/" + first[name], resource=True)}" alt="">'
        title = escape(app.env.titles[name].astext())
        context["body"] += f'<a href="{context["pathto"](name)}">{picture}<span>{title}</span></a>'
    context["body"] += "</div>"


def setup(app: Any) -> None:
    """Write the pages, and say what is left out."""
    _write_reference()
    _copy_notebooks()
    app.connect("autodoc-skip-member", _skip)
    app.connect("html-page-context", _show_gallery)
