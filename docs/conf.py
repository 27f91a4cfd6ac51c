"""The configuration of the pages: `make docs` builds them into docs/_build, offline."""

import ast
import html
import importlib.metadata
import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

import genjax_models

project = "genjax_models"
version = release = importlib.metadata.version(project)
root_doc = "docs/index"
include_patterns = ["docs/**.md", "notebooks/*.ipynb"]
exclude_patterns = ["docs/_build/**"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"  # the notebooks hold their outputs
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
html_math_renderer = "mathml"  # read offline too: no script from elsewhere
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = project
html_show_copyright = False

_API = Path(__file__).parent / "api"


def _write_reference(_) -> None:
    """Writes a page for each room of the package: the public names of `__init__.pyi`, from their docstrings."""
    tree = ast.parse(Path(genjax_models.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    rooms: dict[str, list[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [alias.asname or alias.name for alias in node.names]
            rooms.setdefault(node.module.partition(".")[0], []).extend(names)
    _API.mkdir(exist_ok=True)
    for room, names in rooms.items():
        lines = [f"# {room}", "", "```{eval-rst}"]
        for name in sorted(names, key=str.lower):
            value = getattr(genjax_models, name)
            kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
            lines += [f".. auto{kind}:: genjax_models.{name}", *(["   :members:"] if kind == "class" else []), ""]
        (_API / f"{room}.md").write_text("\n".join([*lines, "```", ""]), encoding="utf-8")


def _as_plain_text(app, what, name, value, options, lines: list[str]) -> None:
    """Makes reStructuredText of a docstring of plain text: `code` is code, and |x|, *, x_ mean themselves."""
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]+`)", line)
        parts[::2] = [re.sub(r"([|*`\\]|_(?!\w))", r"\\\1", part) for part in parts[::2]]
        parts[1::2] = [f"`{part}`" for part in parts[1::2]]
        lines[i] = "".join(parts)


def _is_field(app, what, name, value, skip, options) -> bool | None:
    """Leaves out fields, which the docstring of their class describes; the default of one may be a function of jax."""
    own = callable(value) and (getattr(value, "__module__", None) or "").startswith("genjax_models")
    return None if own or isinstance(value, property) else True


def _write_math(page, node) -> None:
    """Writes a formula as MathML. One that docutils cannot read is a warning, and stays as it is."""
    tex = re.sub(r"\\log\b\s*", r"\\log\\,", node.astext().strip())  # MathML puts no space after a function
    try:
        formula = tex2mathml("{}" + tex if tex[0] in "^_" else tex, as_block=isinstance(node, nodes.math_block))
    except (MathError, IndexError) as error:
        logging.getLogger(__name__).warning(f"{error} in {tex}", location=node)
        formula = f"<code>{html.escape(tex)}</code>"
    page.body.append(f'<div class="formula">{formula}</div>' if isinstance(node, nodes.math_block) else formula)
    raise nodes.SkipNode


def setup(app) -> None:
    """Lets Sphinx write the reference before it reads the pages, and formulas without a script."""
    app.add_html_math_renderer("mathml", inline_renderers=(_write_math, None), block_renderers=(_write_math, None))
    app.connect("builder-inited", _write_reference)
    app.connect("autodoc-process-docstring", _as_plain_text, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", _is_field)
