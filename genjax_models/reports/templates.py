"""Pages from templates: self-contained HTML in one style, which loads nothing from elsewhere."""

import base64
from typing import Any

import jinja2

from genjax_models.figures.pictures import Picture, is_broad

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("genjax_models", "reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def rendered(template: str, **content: Any) -> str:
    """Returns the page as HTML: the template in this folder, filled with the content."""
    return _TEMPLATES.get_template(template).render(**content)


def as_html(picture: Picture) -> dict[str, Any]:
    """Returns what a template needs of a picture."""
    film = picture.gif and as_base64(picture.gif)
    names = {"name": picture.name, "title": picture.title, "caption": picture.caption}
    return {**names, "broad": is_broad(picture.png), "data": as_base64(picture.png), "film": film}


def as_base64(content: bytes) -> str:
    """Returns the content of a file as text, for a page."""
    return base64.b64encode(content).decode()
