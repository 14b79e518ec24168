"""Every layout is recognised by its content, read completely, and refused where it is damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import catalogue_files as sample
import pytest

from index.catalogue.layouts import CatalogueError, CatalogueFile, NotACatalogue, parse, parse_all
from index.catalogue.layouts.alphabets import clean_term
from index.records import Code, CodeSystem


def written(folder: Path, text: str | bytes, name: str = "unnamed.bin", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def pairs(file: CatalogueFile, kind: str | None = None) -> list[tuple[str, str]]:
    return [(line.code, line.text) for line in file.lines if kind is None or line.kind == kind]


def code_of(file: CatalogueFile, code: str) -> Code:
    return next(found for found in file.codes if found.code == code)


SAMPLES: dict[str, tuple[str, str, str, str]] = {
    # name: (text, encoding, start of the layout's name, edition without any hint but the content)
    "plain alphabet": (sample.PLAIN_ALPHABET, "utf-8", "ICD-10-GM Alphabet (Text)", "alphabet"),
    "official alphabet": (sample.OFFICIAL_ALPHABET, "cp1252", "ICD-10-GM Alphabet (EDV", "alphabet-2010"),
    "Alpha-ID-SE": (sample.ALPHA_ID_SE, "utf-8", "Alpha-ID-SE", "alpha-id-se-2020"),
    "Alpha-ID": (sample.ALPHA_ID, "utf-8", "Alpha-ID", "alpha-id-2020"),
    "tumour terms": (sample.TUMOUR_TERMS, "utf-8", "Alpha-ID, tumour", "alpha-id-tumour-2024"),
    "topography terms": (sample.TOPOGRAPHY_TERMS, "utf-8", "Alpha-ID terms", "alpha-id-topography"),
    "rubrics": (sample.RUBRICS, "utf-8", "ICD-10-GM neoplasm", "icd10gm-rubrics"),
    "metadata": (sample.metadata(), "utf-8", "ICD-10-GM Systematik, Metadaten (Text)", "icd10gm"),
    "old metadata": (sample.metadata(old=True), "utf-8", "ICD-10-GM Systematik", "icd10gm"),
    "OPS": (sample.OPS, "utf-8", "OPS", "ops"),
    "morphology": (sample.MORPHOLOGY, "utf-8", "Registry table: morphology", "registry-morphology"),
    "topography": (sample.TOPOGRAPHY, "utf-8", "Registry table: topography", "registry-topography"),
    "icd10": (sample.ICD10, "utf-8", "Registry table: icd10", "registry-icd10"),
    "side": (sample.SIDE, "utf-8", "Registry reference table", "registry-side"),
    "crosswalk": (sample.CROSSWALK, "latin-1", "ICD-O-3 to ICD-10 crosswalk", "crosswalk-2019"),
    "ICD-O": (sample.ICDO, "utf-8", "ICD-O-3 (ClaML)", "icdo3-2019"),
    "ICD-10 ClaML": (sample.ICD10_CLAML, "utf-8", "ICD-10-GM (ClaML)", "icd10gm-2026"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_recognised_by_content(name: str, tmp_path: Path) -> None:
    text, encoding, layout, edition = SAMPLES[name]
    file = parse(written(tmp_path, text, encoding=encoding))
    assert file.layout.startswith(layout)
    assert file.edition == edition
    assert len(file.sha256) == 64
    assert len({line.line_id for line in file.lines}) == len(file.lines)
    assert all(line.edition == edition and line.source == "unnamed.bin" for line in file.lines)


@pytest.mark.parametrize("name", SAMPLES)
def test_in_a_zip_and_with_other_line_ends(name: str, tmp_path: Path) -> None:
    text, encoding, _, _ = SAMPLES[name]
    plain = parse(written(tmp_path, text, encoding=encoding))
    with zipfile.ZipFile(tmp_path / "download", "w") as archive:
        archive.writestr("folder/x.dat", text.encode(encoding))
        archive.writestr("AGB.pdf", b"%PDF-1.7 \x00\xff")
    zipped = parse(tmp_path / "download")
    assert zipped.layout.split("(")[0] == plain.layout.split("(")[0]
    assert zipped.member == "folder/x.dat"
    assert pairs(zipped) == pairs(plain)
    unix = text.replace("\r\n", "\n")
    assert pairs(parse(written(tmp_path, unix.replace("\n", "\r\n"), encoding=encoding))) == pairs(plain)


def test_plain_alphabet_cleans_terms(tmp_path: Path) -> None:
    assert pairs(parse(written(tmp_path, sample.PLAIN_ALPHABET))) == [
        ("C25.9", "Pankreastumor, bösartig"),
        ("C34.1", "Lungenkrebs des Oberlappens"),
        ("C76.0", "Tumor am Hals"),
        ("A01.0", "Gelenkbeschwerden bei Testkrankheit"),
    ]
    assert clean_term("Kolik a.n.k - s. Schmerz oder s.a. Leib") == "Kolik"
    assert clean_term("A - B (s.o.)") == "A - B (s.o.)"


def test_official_alphabet_counts_what_has_no_code(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.OFFICIAL_ALPHABET, encoding="cp1252"))
    assert file.counts == {"rows": 4, "without_code": 2, "lines": 2}
    assert [line.line_id for line in file.lines] == ["alphabet-2010:115001", "alphabet-2010:115002"]
    assert pairs(file) == [("C44.5", "Hautkrebs am Rücken"), ("A01.0", "Gelenkleiden bei Bauchtyphus")]
    assert pairs(parse(written(tmp_path, sample.OFFICIAL_ALPHABET))) == pairs(file)


def test_alpha_id_takes_primary_else_second_primary(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.ALPHA_ID_SE))
    assert [line.code for line in file.lines] == ["C18.9", "Z80.0", "A17.0"]
    assert file.counts == {"rows": 4, "without_code": 0, "invalid": 1, "lines": 3}


def test_topography_terms_keep_only_certain_topographies(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.TOPOGRAPHY_TERMS))
    assert [(line.system, line.code) for line in file.lines] == [
        (CodeSystem.ICD10GM, "C34.1"),
        (CodeSystem.TOPOGRAPHY, "C34.1"),
        (CodeSystem.ICD10GM, "D17.7"),
        (CodeSystem.ICD10GM, "D17.7"),
    ]
    assert file.counts["uncertain_topography"] == 2


def test_a_quoted_field_may_hold_the_delimiter(tmp_path: Path) -> None:
    assert pairs(parse(written(tmp_path, sample.TUMOUR_TERMS)))[1] == ("C83.5", "Lymphom mit t(1;19)")


@pytest.mark.parametrize("old", [False, True])
def test_metadata_reads_sex_age_and_use(old: bool, tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.metadata(old=old)))
    assert file.systematic
    assert (file.counts["codes"], file.counts["terminal"]) == (10, 6)
    prostate, myeloma = code_of(file, "C61"), code_of(file, "C90.00")
    assert (prostate.sex, prostate.age, prostate.parent) == ("M", (30.0, None), None)
    assert (myeloma.parent, myeloma.terminal, myeloma.valid, myeloma.age) == ("C90.0", True, True, None)
    assert not code_of(file, "C90.0").terminal
    assert not code_of(file, "B96.5").valid and code_of(file, "B96.5").terminal
    assert not code_of(file, "G01").valid
    assert code_of(file, "P80").age == (round(28 / 365.25, 4), 1.0)
    assert ("C34.1", "Krebs der Lunge: Oberlappen") in pairs(file, "title")


def test_metadata_zip_takes_the_year_from_its_readme(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a_liesmich.txt", "ICD-10-GM Version 2017      (OID 1.2)")
        archive.writestr("k.txt", sample.metadata(old=True))
        archive.writestr("kapitel.txt", "01;Infektionen\n02;Neubildungen\n")
    assert parse(tmp_path / "z").edition == "icd10gm-2017"


def test_ops_tree(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.OPS))
    assert file.counts["nodes"] == 5 and file.counts["terminal"] == 1
    assert code_of(file, "5-870.a").parent == "5-870" and code_of(file, "5").parent is None


def test_registry_tables(tmp_path: Path) -> None:
    morphology = parse(written(tmp_path, sample.MORPHOLOGY))
    assert pairs(morphology) == [("8140/3", "Drüsenkrebs o.n.A.")]
    assert morphology.counts["without_name"] == 2
    topography = parse(written(tmp_path, sample.TOPOGRAPHY))
    assert [(code.code, code.terminal, code.parent) for code in topography.codes] == [
        ("C34.1", True, "C34"),
        ("C34", False, None),
    ]
    side = parse(written(tmp_path, sample.SIDE))
    assert (side.system, side.codes, side.lines, side.counts) == (None, (), (), {"rows": 2})


def test_crosswalk(tmp_path: Path) -> None:
    rule, any_site = parse(written(tmp_path, sample.CROSSWALK, encoding="latin-1")).rules
    assert (rule.topography, rule.morphologies, rule.behaviour) == (
        r"C34\.1",
        ((8000, 8719), (9140, 9140)),
        "3",
    )
    assert (rule.icd10, rule.default, any_site.icd10, any_site.default) == ("C34.1", True, "C*", False)


def test_icdo_claml_separates_wording_from_hints(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.ICDO))
    assert pairs(file, "title") == [("C34", "Lunge"), ("C34.1", "Oberlappen"), ("8140/3", "Drüsenkrebs")]
    assert pairs(file, "inclusion") == [
        ("C34.1", "Oberlappen o.n.A."),
        ("C34.1", "Gewebe von Lingula"),
        ("8140/3", "Krebs der Drüse"),
        ("8140/3", "Adeno-Ca"),
        ("8140/3", "ACA"),
    ]
    assert pairs(file, "exclusion") == [
        ("C34.1", "Lungenspitze außen (C38.4)"),
        ("C34.1", "Mittellappen (rechts) (C34.2)"),
    ]
    assert pairs(file, "note") == [("C34.1", "siehe Liste"), ("C34.1", "Nicht bei C34.9")]
    assert file.counts["inclusions"] == 4
    assert not code_of(file, "C34").terminal and code_of(file, "C34.1").parent == "C34"
    assert code_of(file, "8140/3").system is CodeSystem.MORPHOLOGY


def test_icd10_claml_modifiers_make_codes(tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.ICD10_CLAML))
    codes = {code.code: code for code in file.codes}
    assert [code for code in codes if code.startswith("C90")] == ["C90", "C90.0", "C90.00", "C90.01", "C90.8"]
    assert codes["C90.00"].title == "Plasmazellkrebs: Myelom: aktiv"
    assert (codes["C90.00"].parent, codes["C90.00"].terminal, codes["C90.0"].terminal) == (
        "C90.0",
        True,
        False,
    )
    # ExcludeModifier, ValidModifierClass, and two modifiers of which one forbids the other.
    assert codes["C90.8"].terminal
    assert [code for code in codes if code.startswith("C91")] == ["C91", "C91.1"]
    assert [code for code in codes if code.startswith("E10")] == [
        "E10", "E10.0", "E10.00", "E10.1", "E10.10", "E10.11",
    ]  # fmt: skip
    assert codes["E10.11"].title == "Zuckerkrankheit: mit Nierenleiden: entgleist"
    assert not codes["E10"].terminal and not codes["E10.1"].terminal and codes["E10.11"].valid
    assert not codes["G01"].valid and not codes["B96"].valid
    assert ("C90.0", "Kahler") in pairs(file, "inclusion")


def test_a_ring_of_classes_ends(tmp_path: Path) -> None:
    ring = """<ClaML version="2.0.0"><Title name="ICD-10-GM" version="2024"/>
      <Class code="C90" kind="category"><SuperClass code="C91"/><Rubric kind="preferred"><Label>a</Label></Rubric></Class>
      <Class code="C91" kind="category"><SuperClass code="C90"/><Rubric kind="preferred"><Label>b</Label></Rubric></Class>
      </ClaML>"""
    assert {code.code for code in parse(written(tmp_path, ring)).codes} == {"C90", "C91"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2021", "alphabet-2021"), ("my-list", "my-list"), ("alphabet-2025", "alphabet-2025")],
)
def test_the_user_may_name_the_edition(given: str, expected: str, tmp_path: Path) -> None:
    file = parse(written(tmp_path, sample.PLAIN_ALPHABET), edition=given)
    assert file.edition == expected
    assert file.lines[0].line_id.startswith(f"{expected}:")


@pytest.mark.parametrize("given", ["../x", "A B", "", "x" * 80, "ä"])
def test_an_edition_that_is_no_id_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no edition id"):
        parse(written(tmp_path, sample.PLAIN_ALPHABET), edition=given)


def test_the_file_name_is_a_hint_that_the_content_can_contradict(tmp_path: Path) -> None:
    assert parse(written(tmp_path, sample.PLAIN_ALPHABET, "icd10gm2023.txt")).edition == "alphabet-2023"
    newer = sample.PLAIN_ALPHABET + "Hepatitis, Testform {B18.80}\n"
    assert parse(written(tmp_path, newer, "icd10gm2010.txt")).edition == "alphabet-2024"
    assert parse(written(tmp_path, sample.OFFICIAL_ALPHABET, "x2024.txt")).edition == "alphabet-2010"
    assert parse(written(tmp_path, sample.ICDO, "icdo2014.xml")).edition == "icdo3-2019"


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7\n\x00\x01\x02",
        b"# Readme\n\nSome text about C34.1 and others.\n",
        b"name;age;city\nAnna;3;Ulm\n",
        b"code;name\nDE;Deutschland\nFR;Frankreich\n",
        b'<?xml version="1.0"?><oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML"><Menge_Patient/></oBDS>',
        b"<html><body>404</body></html>",
        b'{"json": true}',
        b"",
        b" \n\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\xef\xbb\xbf",
    ],
)
def test_anything_else_is_no_catalogue(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotACatalogue, match=r"icd10gm2024\.txt: "):
        parse(written(tmp_path, content, "icd10gm2024.txt"))


def test_a_zip_without_a_catalogue_and_one_with_two(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(NotACatalogue, match="without a catalogue"):
        parse(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", sample.PLAIN_ALPHABET)
        archive.writestr("b", sample.OPS)
    with pytest.raises(CatalogueError, match="holds 2 catalogues"):
        parse(path)
    assert [file.member for file in parse_all(path)] == ["a", "b"]


def test_a_damaged_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", sample.PLAIN_ALPHABET * 50)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], data[:-10], data[:60] + b"\0\0\0\0" + data[64:]):
        with pytest.raises(CatalogueError, match="damaged zip") as error:
            parse(written(tmp_path, broken, "b.zip"))
        assert not isinstance(error.value, NotACatalogue)


def test_a_zip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 3_000_000)
    monkeypatch.setattr("index.catalogue.layouts.MAX_BYTES", 1_000_000)
    with pytest.raises(CatalogueError, match="unpacks to more than"):
        parse(path)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "side"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_an_error_with_a_remedy(name: str, encoding: str, tmp_path: Path) -> None:
    text = SAMPLES[name][0].removeprefix("\ufeff")
    if name == "ICD-10 ClaML":
        text = '<?xml version="1.0" encoding="UTF-8"?>' + text
    with pytest.raises(CatalogueError, match=r"UTF-16|broken") as error:
        parse(written(tmp_path, text, encoding=encoding))
    assert not isinstance(error.value, NotACatalogue)


@pytest.mark.parametrize(
    "name",
    ["plain alphabet", "tumour terms", "metadata", "OPS", "morphology", "official alphabet", "Alpha-ID-SE"],
)
def test_wrong_bytes_and_damaged_umlauts(name: str, tmp_path: Path) -> None:
    text = SAMPLES[name][0].removeprefix("\ufeff")
    for word in ("Oberlappentumor", "krebs", "Krebs", "Eingriffe"):
        text = text.replace(word, "Äußerer Kräbs der Hüfte")
    with pytest.raises(CatalogueError, match=r"row \d+: .*UTF-8|umlauts read as signs"):
        parse(written(tmp_path, text, encoding="cp850"))
    with pytest.raises(CatalogueError, match=r"row \d+: has damaged umlauts"):
        parse(written(tmp_path, text.encode().decode("latin-1").encode()))


def test_a_file_in_two_encodings(tmp_path: Path) -> None:
    mixed = sample.OFFICIAL_ALPHABET.encode("utf-8") + "1;115003;1;C34.1;;;Größe;\r\n".encode("cp1252")
    with pytest.raises(CatalogueError, match=r"row 5: mixes UTF-8"):
        parse(written(tmp_path, mixed))


def test_nul_bytes(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"row 2: holds NUL"):
        parse(written(tmp_path, "Krebs {C34.1}\nTum\0or {C34.1}\nKrebs {C34.2}\n"))


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("plain alphabet", 8),
        ("official alphabet", 4),
        ("Alpha-ID", 20),
        ("tumour terms", 4),
        ("topography terms", 5),
        ("rubrics", 12),
        ("metadata", 6),
        ("OPS", 34),
        ("morphology", 8),
        ("icd10", 7),
        ("topography", 5),
        ("crosswalk", 16),
        ("ICD-O", 12),
        ("ICD-10 ClaML", 40),
    ],
)
def test_a_last_row_that_is_cut_off(name: str, ending: int, tmp_path: Path) -> None:
    text, encoding, _, _ = SAMPLES[name]
    with pytest.raises(CatalogueError, match=r"^b\.txt.*(cut off|original)"):
        parse(written(tmp_path, text.encode(encoding)[:-ending], "b.txt"))


def test_a_large_file_must_end_its_last_row(tmp_path: Path) -> None:
    rows = "".join(f"1|I{10000 + i}|C34.1||||Krebs Nummer {i}\n" for i in range(1500))
    assert parse(written(tmp_path, rows)).counts["rows"] == 1500
    with pytest.raises(CatalogueError, match="row 1,500: its last row has no line break"):
        parse(written(tmp_path, rows[:-4]))


def test_metadata_that_stops_after_a_row(tmp_path: Path) -> None:
    rows = sample.metadata().splitlines(keepends=True)
    with pytest.raises(CatalogueError, match=r"C90\.0 is divided further"):
        parse(written(tmp_path, "".join(rows[:5])))
    with pytest.raises(CatalogueError, match=r"holds C34\.1, but not C34"):
        parse(written(tmp_path, "".join(rows[1:])))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("official alphabet", "C44.5", "44.5"),
        ("Alpha-ID-SE", "C18.9", "??"),
        ("tumour terms", "C34.1", ""),
        ("rubrics", "preferredLong", "something"),
        ("OPS", "5-870.a\t", "!\t"),
        ("OPS", "5-87\t5-87...5-88", "5-87\t9-99"),
        ("morphology", "8140/3;3", "8140/3;2"),
        ("crosswalk", "8000-8719", "8000 bis 8719"),
        ("crosswalk", "C34\\.1", "(C+)+"),
        ("crosswalk", "/3", "3"),
        ("crosswalk", "C34\\.1", "C34(\\.1"),
        ("ICD-O", 'code="8140:3"', 'code="81403"'),
        ("ICD-O", "Oberlappen</Label>", "</Label>"),
        ("ICD-O", 'name="ICD-O-3"', 'name="ICPC"'),
        ("ICD-O", 'ClaML.dtd">', "x\" [<!ENTITY a 'b'>]>"),
    ],
)
def test_a_row_that_does_not_fit(name: str, old: str, new: str, tmp_path: Path) -> None:
    text, encoding, _, _ = SAMPLES[name]
    assert old in text
    with pytest.raises(CatalogueError, match=r"^unnamed\.bin"):
        parse(written(tmp_path, text.replace(old, new, 1), encoding=encoding))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "nowhere", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(CatalogueError, match=said):
            parse(path)
