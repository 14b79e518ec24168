"""Files become one catalogue: what exists, which line is kept, which answers a query."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.catalogue.catalogue import Catalogue, is_neoplasm
from index.catalogue.layouts import CatalogueError, CatalogueFile
from index.catalogue.lexicon import read_findings, read_lexicon
from index.records import CatalogueLine, Code, CodeSystem, CrosswalkRule
from index.text import normalise, term_key

ICD10, TOPOGRAPHY, MORPHOLOGY, OPS = CodeSystem


def file(
    edition: str,
    terms: list[tuple[str, str]] | None = None,
    codes: list[Code] | None = None,
    *,
    system: CodeSystem = ICD10,
    kind: str = "synonym",
    systematic: bool = False,
    rules: tuple[CrosswalkRule, ...] = (),
) -> CatalogueFile:
    lines = tuple(
        CatalogueLine(f"{edition}:{number}", code, text, kind, system, edition, "made.txt")
        for number, (code, text) in enumerate(terms or [])
    )
    made = tuple(dataclasses.replace(code, edition=edition) for code in codes or [])
    return CatalogueFile(
        Path("made.txt"), edition, "made", system, edition, made, lines, rules, {}, systematic
    )


def systematic(edition: str, *codes: str, divided: tuple[str, ...] = ()) -> CatalogueFile:
    made = [
        Code(code, f"Titel {code}", ICD10, edition, terminal=code not in divided)
        for code in (*codes, *divided)
    ]
    return file(edition, [(code.code, code.title) for code in made], made, kind="title", systematic=True)


def texts(catalogue: Catalogue, *, searchable: bool = False) -> list[tuple[str, str]]:
    return [
        (line.code, line.text) for line in (catalogue.searchable_lines if searchable else catalogue.lines)
    ]


def build(*files: CatalogueFile, edition: str | None = None) -> Catalogue:
    return Catalogue.from_files(files, lexicon=False, edition=edition)


def test_is_neoplasm() -> None:
    assert all(map(is_neoplasm, ("C00", "C97", "C90.00", "D48.9", "D00.0")))
    assert not any(map(is_neoplasm, ("D49", "D50.0", "B99", "E10", "8140/3", "", "C3", "C34.1x")))


def test_duplicates_go_and_the_newer_edition_stays() -> None:
    catalogue = build(
        file("alphabet-2010", [("C34.1", "Oberlappen-Carcinom"), ("C34.1", "Pancoast")]),
        file("alphabet-2023", [("C34.1", "Oberlappen-Karzinom"), ("C34.1", "oberlappen  karzinom")]),
    )
    assert texts(catalogue) == [("C34.1", "Oberlappen-Karzinom"), ("C34.1", "Pancoast")]
    assert dict(catalogue.report) == {"read": 4, "kept": 2, "duplicates": 2, "moved": 0, "dropped": 0}


def test_a_term_follows_its_newer_code() -> None:
    catalogue = build(
        systematic("icd10gm-2024", "C44.59", "D47.4", divided=("C44.5",)),
        file("alphabet-2010", [("C44.5", "Rumpfkrebs"), ("C44.5", "Bauchkrebs"), ("D47.4", "Myelofibrose")]),
        file("alphabet-2023", [("C44.59", "Rumpf-Krebs"), ("C44.59", "Weiteres")]),
    )
    assert ("C44.5", "Rumpfkrebs") not in texts(catalogue)
    assert ("C44.5", "Bauchkrebs") not in texts(catalogue)
    assert (catalogue.report["moved"], catalogue.report["dropped"]) == (1, 1)
    assert ("D47.4", "Myelofibrose") in texts(catalogue)


def test_one_edition_may_give_a_term_two_codes() -> None:
    catalogue = build(file("alphabet-2023", [("C25.9", "Pankreaskrebs"), ("C25.0", "Pankreaskrebs")]))
    assert len(catalogue.lines) == 2


def test_the_title_of_a_divided_code_outdates_nothing() -> None:
    catalogue = build(
        systematic("icd10gm-2024", "C45.9", divided=("C45",)), file("alphabet-2023", [("C45.9", "Titel C45")])
    )
    assert ("C45.9", "Titel C45") in texts(catalogue, searchable=True)
    assert ("C45", "Titel C45") in texts(catalogue)
    assert ("C45", "Titel C45") not in texts(catalogue, searchable=True)


def test_the_newest_systematic_edition_is_in_force_unless_another_is_asked_for() -> None:
    old, new = (
        systematic("icd10gm-2017", "C44.5", "C61"),
        systematic("icd10gm-2024", "C44.59", "C61", divided=("C44.5",)),
    )
    terms = file("alphabet-2010", [("C44.5", "Bauchkrebs")])
    assert build(old, new, terms).codable_codes(ICD10) == ("C44.59", "C61")
    asked = build(old, new, terms, edition="icd10gm-2017")
    assert asked.codable_codes(ICD10) == ("C44.5", "C61")
    assert ("C44.5", "Bauchkrebs") in texts(asked, searchable=True)
    assert asked.editions["icd10gm-2017"]["in_force"] and not asked.editions["icd10gm-2024"]["in_force"]
    with pytest.raises(CatalogueError, match=r"icd10gm-2030.*here: icd10gm-2017, icd10gm-2024"):
        build(old, new, edition="icd10gm-2030")


def test_an_older_edition_asked_for_keeps_terms_that_moved_later() -> None:
    asked = build(
        systematic("icd10gm-2017", "C44.5"),
        systematic("icd10gm-2024", "C44.59"),
        file("alphabet-2017", [("C44.5", "Bauchkrebs")]),
        file("alphabet-2024", [("C44.59", "Bauchkrebs")]),
        edition="icd10gm-2017",
    )
    assert [pair for pair in texts(asked, searchable=True) if pair[1] == "Bauchkrebs"] == [
        ("C44.5", "Bauchkrebs")
    ]


def test_codable_means_terminal_valid_and_a_tumour() -> None:
    catalogue = build(
        file(
            "icd10gm-2024",
            codes=[
                Code("C34", "Lunge", ICD10, "", terminal=False),
                Code("C34.1", "Oberlappen", ICD10, ""),
                Code("D63.0", "Anämie", ICD10, "", valid=False),
                Code("E10.9", "Zucker", ICD10, ""),
            ],
            systematic=True,
        ),
        file("icdo3-2019", codes=[Code("C34", "Lunge", TOPOGRAPHY, "", terminal=False), Code("C34.1", "O", TOPOGRAPHY, "")], system=TOPOGRAPHY),
        file("registry-x", codes=[Code("C20", "Rektum", TOPOGRAPHY, ""), Code("8140/3", "A", MORPHOLOGY, "")], system=TOPOGRAPHY),
    )  # fmt: skip
    assert catalogue.codable_codes(ICD10) == ("C34.1",)
    assert catalogue.codable_codes(ICD10, neoplasms_only=False) == ("C34.1", "E10.9")
    assert catalogue.codable_codes(TOPOGRAPHY) == ("C34.1",)
    assert catalogue.codable_codes(MORPHOLOGY) == ("8140/3",)
    assert not catalogue.is_codable(ICD10, "C34") and not catalogue.is_codable(ICD10, "C99.9")
    assert catalogue.title(ICD10, "C34.1") == "Oberlappen" and catalogue.title(ICD10, "C99.9") == ""


def test_what_may_answer_a_query() -> None:
    catalogue = build(
        systematic("icd10gm-2024", "C34.1", "E10.9", divided=("C34", "E10")),
        file("icdo3-2019", [("C34.1", "Nicht hier")], kind="exclusion", system=TOPOGRAPHY),
        file("icdo3-2018", [("C34.1", "Hinweis")], kind="note", system=TOPOGRAPHY),
        file(
            "ops-2024",
            [("5-87", "Brust")],
            [Code("5-87", "Brust", OPS, "", terminal=False)],
            system=OPS,
            systematic=True,
        ),
        file("alphabet-2023", [("E10.9", "Zuckerkrankheit")]),
    )
    assert {line.text for line in catalogue.lines} == {
        "Titel C34.1", "Titel E10.9", "Titel C34", "Titel E10", "Nicht hier", "Hinweis", "Brust", "Zuckerkrankheit",
    }  # fmt: skip
    assert {text for _, text in texts(catalogue, searchable=True)} == {
        "Titel C34.1",
        "Titel E10.9",
        "Zuckerkrankheit",
        "Brust",
    }
    assert [line.text for line in catalogue.lines_of(TOPOGRAPHY, "C34.1")] == ["Nicht hier", "Hinweis"]
    assert catalogue.lines_of(ICD10, "Z99.9") == ()


def test_every_searchable_tumour_line_has_a_codable_code() -> None:
    catalogue = Catalogue.from_files(
        [file("alphabet-2023", [("C34.1", "Eins"), ("C34", "Zwei"), ("C34.77", "Drei"), ("E10.9", "Vier")])]
    )
    assert [line.text for line in catalogue.searchable_lines if line.edition == "alphabet-2023"] == [
        "Eins",
        "Vier",
    ]


def test_icdo_collects_the_codes_of_all_editions() -> None:
    old = file(
        "icdo3-2014",
        terms=[("8000/1", "alt"), ("8001/1", "auch alt")],
        codes=[Code("8000/1", "alt", MORPHOLOGY, ""), Code("8001/1", "alt", MORPHOLOGY, "")],
        system=MORPHOLOGY,
        systematic=True,
    )
    new = file(
        "icdo3-2019", codes=[Code("8000/1", "neu", MORPHOLOGY, "")], system=MORPHOLOGY, systematic=True
    )
    assert build(old, new).codable_codes(MORPHOLOGY) == ("8000/1", "8001/1")
    assert build(old, new).title(MORPHOLOGY, "8000/1") == "neu"
    assert build(old, new, edition="icdo3-2019").codable_codes(MORPHOLOGY) == ("8000/1",)
    assert build(old, new, edition="icdo3-2014").title(MORPHOLOGY, "8000/1") == "alt"


def test_an_icdo_code_whose_only_term_moved_is_gone() -> None:
    old = file(
        "icdo3-2014",
        [("8158/1", "Alter Name")],
        [Code("8158/1", "x", MORPHOLOGY, "")],
        system=MORPHOLOGY,
        systematic=True,
    )
    new = file(
        "icdo3-2019",
        [("8150/3", "Alter Name")],
        [Code("8150/3", "x", MORPHOLOGY, "")],
        system=MORPHOLOGY,
        systematic=True,
    )
    assert build(old, new).codable_codes(MORPHOLOGY) == ("8150/3",)


def test_the_lexicon_yields_to_a_list_that_is_not_older() -> None:
    assert Catalogue.from_files([systematic("icd10gm-2026", "C34.10")]).codable_codes(ICD10) == ("C34.10",)
    assert "C50.9" in Catalogue.from_files([systematic("icd10gm-2010", "C34.10")]).codable_codes(ICD10)


def test_lines_alone_make_codes() -> None:
    assert (
        build(file("alphabet-2023", [("C34.1", "Eins"), ("C34.1", "Zwei")])).title(ICD10, "C34.1") == "Eins"
    )


def test_the_newest_crosswalk_rules() -> None:
    old, new = (CrosswalkRule("C50", ((8000, 9000),), "3", code, True) for code in ("C50.8", "C50.9"))
    catalogue = build(file("crosswalk-2019", rules=(new,)), file("crosswalk-2011", rules=(old,)))
    assert catalogue.rules == (new,)


def test_a_catalogue_does_not_change() -> None:
    catalogue = build(file("alphabet-2023", [("C34.1", "Eins")]))
    with pytest.raises(AttributeError):
        catalogue.lines = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        catalogue.editions["x"] = {}  # type: ignore[index]
    json.dumps(dict(catalogue.editions))


def test_an_empty_catalogue() -> None:
    assert (build().lines, build().codable_codes(ICD10), build().rules) == ((), (), ())


def test_the_builtin_catalogue_is_enough_to_start() -> None:
    catalogue = Catalogue.builtin()
    assert len(catalogue.codable_codes(ICD10)) > 700
    assert catalogue.is_codable(ICD10, "C34.1") and catalogue.title(ICD10, "C34.1")
    code = catalogue.code(ICD10, "C53.9")
    assert code is not None and code.sex == "W"
    prostate = catalogue.code(ICD10, "C61")
    assert prostate is not None and prostate.sex == "M"
    assert all(
        not is_neoplasm(line.code) or catalogue.is_codable(ICD10, line.code)
        for line in catalogue.searchable_lines
        if line.system is ICD10
    )


class TestLexicon:
    def folder(self, tmp_path: Path, text: str) -> Path:
        (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
        return tmp_path

    def test_codes_lines_and_findings(self, tmp_path: Path) -> None:
        rows = "icd10gm\tC50\ttitle\tBrust\nicd10gm\tC50.9\ttitle\tBrust o.n.A.\nicd10gm\tC50.9\tabbreviation\tMaCa\n"
        folder = self.folder(
            tmp_path,
            f"system\tcode\tkind\ttext\n{rows}none\t\tsynonym\tGesunder Befund\nicd10gm\tD07.4\ttitle\tPenis\n",
        )
        lexicon = read_lexicon(folder)
        assert [(code.code, code.terminal, code.parent, code.sex) for code in lexicon.codes] == [
            ("C50", False, None, None),
            ("C50.9", True, "C50", None),
            ("D07.4", True, None, "M"),
        ]
        assert [line.kind for line in lexicon.lines] == ["title", "title", "abbreviation", "title"]
        assert read_findings(folder) == ("Gesunder Befund",)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("code\ttext\n", "row 1"),
            ("system\tcode\tkind\ttext\nicd10gm\tC50.9\ttitle\n", "row 2"),
            ("system\tcode\tkind\ttext\n\nicd10gm\tC50.9\tname\tx\n", "row 3"),
            ("system\tcode\tkind\ttext\nicd11\tC50.9\ttitle\tx\n", "no code system"),
            ("system\tcode\tkind\ttext\nicd10gm\t8140/3\ttitle\tx\n", "no code of icd10gm"),
            ("system\tcode\tkind\ttext\nicd10gm\tC50.9\ttitle\t \n", "row 2"),
        ],
    )
    def test_a_malformed_table(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(CatalogueError, match=message):
            read_lexicon(self.folder(tmp_path, text))

    def test_no_table_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogueError, match="install onkokode again"):
            read_lexicon(tmp_path)


class TestText:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Nicht-kleinzelliges  Bronchial-Carcinom", "nicht kleinzelliges Bronchial Karzinom"),
            ("Ösophagus-Ca.", "oesophagus ca"),
            ("Große (Zelle)", "GROSSE ZELLE"),
            ("Cervixcarcinom", "Zervixkarzinom"),
            ("A\u0308ußere\u00a0Lippe", "äussere Lippe"),
            ("ﬁbrom", "Fibrom"),
            ("β-Zell", "beta Zell"),
            ("naïve", "naive"),
        ],
    )
    def test_spellings_meet(self, one: str, other: str) -> None:
        assert normalise(one) == normalise(other) != ""

    def test_different_words_stay_different(self) -> None:
        assert (
            len(
                {
                    normalise(word)
                    for word in ("Kolon", "Kolik", "Koli", "Zyste", "Sarkom", "Karzinom", "C34.1", "C34.2")
                }
            )
            == 8
        )

    def test_term_key_ignores_hyphenation(self) -> None:
        assert term_key("Mamma-Karzinom") == term_key("Mammakarzinom") == "mammakarzinom"

    def test_odd_input(self) -> None:
        assert normalise("\ud800\x00\x1b Krebs \udfff\x07") == "krebs"
        assert normalise("") == normalise(" -–_.\n") == ""
        assert len(normalise("Krebs-" * 200_000)) == 1_199_999

    @given(st.text(alphabet=st.characters(), max_size=60))
    def test_idempotent(self, text: str) -> None:
        assert normalise(normalise(text)) == normalise(text)
