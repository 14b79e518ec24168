"""No word of a report or an error comes from a message, wherever in the XML a text stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.apps.registry.errors import refused_because
from agent.apps.registry.report import ReportRow
from agent.apps.registry.run import Run
from index.xml import XmlError, safe_parse
from tests.registry.messages import Case, adt, as_csv, obds
from tests.registry.test_run import ListOfRows

TEXT = "Frau Markerli Mammakarzinom 01.02.1950"
NUMBERS = "01.02.1950"  # looks like a version
NAME = "Markerli"  # a name of an element, entity or encoding has no white space


class Silent:
    """An agent that leaves every text open."""

    resources = SimpleNamespace(catalogue=SimpleNamespace(code=lambda system, code: None))

    def code_many(self, texts: Iterable[str], dates: Any = None) -> Iterator[Any]:
        coding = SimpleNamespace(code=None, reason="Offen.", missing=())
        for _ in texts:
            yield SimpleNamespace(coding=lambda system: coding, icdo_morphology=coding)


def _documents() -> Iterator[str]:
    """Both formats with a text in each attribute, element, name and namespace in turn, and broken around one."""
    filled = {"icd": "C34.1", "topography": "C34.1", "morphology": "8071/3", "icd_version": "33"}
    for whole in (adt(Case(**filled)), obds(Case(**filled))):  # type: ignore[arg-type]
        for place in re.finditer(r'(?<==")[^"]*(?=")', whole):
            before, after = whole[: place.start()], whole[place.end() :]
            # A report shows Meldung_ID and Tumor_ID, but none that is a text.
            shown = re.search(r'(Meldung|Tumor)_ID="$', before)
            for text in (TEXT,) if shown else (TEXT, NUMBERS, NAME):
                yield before + text + after
        for place in re.finditer(r"(?<=>)[^<>]+(?=<)", whole):
            yield whole[: place.start()] + TEXT + whole[place.end() :]
        names = sorted(set(re.findall(r"<(\w+)", whole)))
        for name in names:
            yield re.sub(rf"(?<=[</]){name}\b", NAME, whole)
            yield whole.replace(f"<{name}", f"<{NAME}", 1)
            yield whole.replace(f"<{name}", f"<{NAME}:{name}", 1)
            yield whole.replace(f"<{name}", f'<{name} {NAME}="{TEXT}" {NAME}="{TEXT}"', 1)
            yield whole.replace(f"<{name}", f'<{name} xmlns="{TEXT}"', 1)
            yield whole.replace(f"</{name}>", f"<!-- {TEXT} --><?{NAME} {TEXT}?>&{NAME};</{name}>", 1)
        for doctype in (
            f'<!DOCTYPE {NAME} [<!ENTITY {NAME} "{TEXT}">]>',
            f'<!DOCTYPE {NAME} [<!ENTITY % {NAME} SYSTEM "{NAME}">%{NAME};]>',
            f'<!DOCTYPE {NAME} SYSTEM "{NAME}">',
            f"<!DOCTYPE {NAME} [%{NAME};]>",
        ):
            yield whole.replace("\n", f"\n{doctype}", 1)
        yield whole.replace("UTF-8", NAME, 1)
        yield whole.replace("<Absender/>", f"<{NAME}>{TEXT}</{NAME}>")
        yield f"{TEXT}{whole}"
        yield f"{whole}{TEXT}"
        yield (
            whole[: whole.index("<Absender/>")]
            + f"<{NAME}>{TEXT}</{NAME}></{re.findall(r'<([a-zA-Z_]+)', whole)[0]}>"
        )


def test_no_row_of_a_report_quotes_a_message(tmp_path: Path) -> None:
    source, agent, refused = tmp_path / "a.xml", Silent(), 0
    documents = list(_documents())
    for document in documents:
        source.write_text(document, "utf-8")
        rows: list[ReportRow] = []
        run = Run(agent, [ListOfRows(rows)])  # type: ignore[arg-type]
        run.file(source, None)
        refused += run.counts.refused
        report = as_csv(rows)
        assert "Markerli" not in report and "1950" not in report, (document[:300], report)
    assert len(documents) > 300 and refused > 100


def test_no_error_of_the_parser_quotes_a_document() -> None:
    errors = 0
    for document in _documents():
        try:
            safe_parse(document.encode())
        except XmlError as error:
            errors += 1
            for said in (str(error), str(refused_because(error)), repr(error.__cause__)):
                assert "Markerli" not in said and "1950" not in said
    assert errors > 60


@pytest.mark.parametrize(
    "document",
    [
        f'<a b="{TEXT}" b="{NAME}"/>',
        f"<{NAME}></b>",
        f"<a>&{NAME};</a>",
        f'<a xmlns:x="{NAME} {TEXT}" x:b="1" xmlns:y="{NAME} {TEXT}" y:b="2"/>',
        f"<{NAME}:a/>",
        f'<?xml version="{NAME}"?><a/>',
    ],
)
def test_what_only_the_second_parser_refuses_is_not_quoted_either(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.xml._inspect", lambda data: None)
    with pytest.raises(XmlError, match="Zeile 1") as caught:
        safe_parse(document.encode())
    assert "Markerli" not in str(caught.value)
