"""How `make docs` builds the manual (Sphinx with MyST): `docs/*.md` to `build/docs`, every warning an error.

The pages of the API reference, `docs/reference/*.rst`, are written when a build begins: one for each
namespace of public names, with the docstring of each name.
"""

from importlib import import_module
from inspect import isclass
from pathlib import Path
from typing import Any

NAMESPACES = (
    "spectral_ssl",
    "data_prep",
    "pretext.data",
    "pretext.losses",
    "pretext.networks",
    "downstream.features",
    "downstream.metrics",
)

project = "spectral-ssl"
author = "the authors of spectral-ssl"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
myst_heading_anchors = 4  # links to headings, by the same names as on a forge
highlight_language = "none"  # of indented blocks: commands and formulas; fenced ones name theirs
html_theme = "furo"
html_title = "spectral-ssl"
html_show_sphinx = False
html_copy_source = False
suppress_warnings = ["toc.empty_glob"]

autosummary_generate = False  # its tables link to the entries on the same page
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
# types in docstrings are phrases such as "Tensor, shape (B, E)", not names to link
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# types of other libraries, and of this one that are not public, have no entry to link to
nitpick_ignore_regex = [("py:.*", ".*")]


def write_reference(app: Any) -> None:
    """Write one page for each namespace: a table of its names, then their entries."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for number, namespace in enumerate(NAMESPACES, start=1):
        module = import_module(namespace)
        names = sorted(module.PUBLIC_NAMES, key=str.lower)
        lines = [namespace, "=" * len(namespace), "", f".. currentmodule:: {namespace}", ""]
        lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]
        for name in names:
            # a name that a later namespace lists too is indexed there alone
            others = any(name in import_module(other).PUBLIC_NAMES for other in NAMESPACES[number:])
            options = ["   :no-index:"] if others else []
            if isclass(getattr(module, name)):
                lines += [f".. autoclass:: {name}", "   :members:", *options, ""]
            else:
                lines += [f".. autofunction:: {name}", *options, ""]
        page, text = folder / f"{number}-{namespace}.rst", "\n".join(lines)
        if not page.exists() or page.read_text(encoding="utf-8") != text:  # an unchanged page is not built again
            page.write_text(text, encoding="utf-8")


def find_public_entry(app: Any, env: Any, node: Any, contents: Any) -> Any:
    """Link a type in a signature, which has the name of its module, to the entry of its public name."""
    for namespace in NAMESPACES:
        for name, module in import_module(namespace).PUBLIC_NAMES.items():
            if node.get("reftarget") in (f"{module}.{name}", name):
                domain, target = env.get_domain("py"), f"{namespace}.{name}"
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
    return None


def setup(app: Any) -> None:
    """Connect the two functions to the build."""
    app.connect("builder-inited", write_reference)
    app.connect("missing-reference", find_public_entry)
