"""The page at /docs: the OpenAPI description as one HTML page without scripts, fonts or images from anywhere.

    html = docs_page(app.openapi())

FastAPI's own page loads its viewer from another machine. This one is made here (`templates/docs.html`), so it also
works where there is no network, and under a content security policy that allows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def docs_page(description: Mapping[str, Any]) -> str:
    """The whole page."""
    schemas = description.get("components", {}).get("schemas", {})
    dumps = partial(json.dumps, ensure_ascii=False)
    return _PAGES.get_template("docs.html").render(description, schemas=schemas, json=dumps)
