"""The page at /docs: the OpenAPI description as one HTML page without scripts, fonts or images from anywhere.

    html = docs_page(app.openapi())

FastAPI's own page loads its viewer from another machine. This one is made here, so it also works where there
is no network, and under a content security policy that allows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-top:1px solid #8886;padding-top:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#8882;padding:.7rem;overflow-x:auto;border-radius:4px}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884}
.method{font-weight:700;padding:.1rem .5rem;border-radius:4px;background:#8883}
"""


def docs_page(description: Mapping[str, Any]) -> str:
    """The whole page."""
    info = description["info"]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        *(f"<p>{escape(paragraph)}</p>" for paragraph in info.get("description", "").split("\n\n")),
        '<p>The description for programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    schemas = description.get("components", {}).get("schemas", {})
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parts += _operation(path, method, operation, schemas)
    parts.append("<h2>Objects</h2>")
    for name, schema in schemas.items():
        parts += _schema(name, schema)
    return "".join([*parts, "</body></html>"])


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[str]:
    yield f'<h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>'
    yield f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    rows = [
        (f"<code>{escape(p['name'])}</code> ({p['in']})", escape(p.get("description", "")))
        for p in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        rows.append(("body", _type(body)))
    if rows:
        yield from _table("takes", rows)
    for example in schemas.get(_name(body), {}).get("examples", []) if body else []:
        yield f"<pre>{escape(_curl(path, example))}</pre>"
    answers = []
    for status, answer in operation["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        told = escape(answer.get("description", ""))
        answers.append((f"<code>{escape(status)}</code>", f"{told} {_type(schema) if schema else ''}"))
    yield from _table("answers", answers)


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
    rows = [
        (f"<code>{escape(field)}</code>", f"{_type(kind)} {escape(kind.get('description', ''))}")
        for field, kind in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table("fields", rows)
    elif "enum" in schema:
        yield f"<p>{', '.join(f'<code>{escape(str(value))}</code>' for value in schema['enum'])}</p>"


def _table(heading: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f'<table><tr><th colspan="2">{heading}</th></tr>'
    for left, right in rows:
        yield f"<tr><td>{left}</td><td>{right}</td></tr>"
    yield "</table>"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = escape(_name(schema))
        return f'<a href="#{name}">{name}</a>'
    for key in ("anyOf", "allOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(part) for part in schema[key])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    return escape(str(schema.get("type", "any")))


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _curl(path: str, example: Any) -> str:
    body = json.dumps(example, ensure_ascii=False)
    return f"curl -s http://127.0.0.1:8000{path} \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
