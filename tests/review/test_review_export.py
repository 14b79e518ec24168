"""What comes out of a work list: the CSV file and the training pairs, read with training's own reader."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from agent.apps.review.decision import Action, ReviewError, decide
from agent.apps.review.export import write_csv, write_pairs
from agent.apps.review.items import NewItem
from agent.apps.review.own_table import write_own_table
from agent.apps.review.store import Store
from index.records import CodeSystem
from tests.review.review_helpers import add, coding
from training.adapters.data import PairFolder
from training.adapters.pairs import _SCHEMA

ICD = CodeSystem.ICD10GM


def _rows(path: Path) -> list[dict[str, str]]:
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_csv_holds_what_stands_and_what_was_proposed(store: Store, tmp_path: Path) -> None:
    of = coding()
    number = add(store, 'Mamma-Ca; "links"\noben', of)
    add(store, "offen", of)
    store.decide(number, decide(of, Action.ACCEPT, by="A"), seen=0)
    store.decide(number, decide(of, Action.CHANGE, {ICD: None}, by="Müller", comment="Ä"), seen=1)
    out = tmp_path / "out.csv"
    assert write_csv(store, out) == 1
    (row,) = _rows(out)
    assert row["Text"] == 'Mamma-Ca; "links"\noben'
    assert (row["Entscheidung"], row["ICD-10-GM"], row["Vorschlag ICD-10-GM"]) == ("geändert", "", "C50.9")
    assert (row["Morphologie"], row["Entschieden von"], row["Kommentar"]) == ("8500/3", "Müller", "Ä")
    assert row["Entschieden am (UTC)"].endswith("Z")
    assert out.stat().st_mode & 0o777 == 0o600
    assert not out.with_name("out.csv.part").exists()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_csv_has_no_formula(store: Store, tmp_path: Path, start: str) -> None:
    of = coding()
    text = f"{start}HYPERLINK(1)"
    store.decide(add(store, text, of), decide(of, Action.ACCEPT, by="=cmd", comment="@x"), seen=0)
    write_csv(store, tmp_path / "out.csv")
    (row,) = _rows(tmp_path / "out.csv")
    assert row["Text"] == f"'{text}"
    assert (row["Entschieden von"], row["Kommentar"]) == ("'=cmd", "'@x")


def test_a_folder_that_is_missing_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="none"):
        write_csv(store, tmp_path / "none" / "out.csv")


def test_pairs_are_read_by_the_trainer(store: Store, tmp_path: Path) -> None:
    of = coding()
    for n in range(30):
        store.decide(add(store, f"Mammakarzinom {n}", of), decide(of, Action.ACCEPT, by="A"), seen=0)
    changed = add(store, "geändert", of)
    store.decide(
        changed, decide(of, Action.CHANGE, {ICD: "C50.4", CodeSystem.MORPHOLOGY: None}, by="A"), seen=0
    )
    rejected = add(store, "abgelehnt", of)
    store.decide(rejected, decide(of, Action.REJECT, by="A", comment="doppelt"), seen=0)
    nothing = coding((None, None, None), tumour=0.01)
    store.decide(add(store, "Appendektomie", nothing), decide(nothing, Action.ACCEPT, by="A"), seen=0)
    vague = coding((None, None, None))
    store.decide(add(store, "Ca", vague), decide(vague, Action.ACCEPT, by="A"), seen=0)
    add(store, "offen", of)
    counts = write_pairs(store, tmp_path / "pairs")

    pairs = PairFolder.open(tmp_path / "pairs")
    asked = {part: [one for chunk in pairs.read(part, (), None, 13) for one in chunk] for part in counts}
    assert {part: len(found) for part, found in asked.items()} == counts
    found = [(one.task, one.answer) for part in asked.values() for one in part if "«geändert»" in one.prompt]
    assert sorted(found) == [("icd10gm", "C50.4"), ("icdo_topography", "C50.9"), ("tumour", "ja")]
    everything = [one for part in asked.values() for one in part]
    assert [one.answer for one in everything if "«Appendektomie»" in one.prompt] == ["nein"]
    assert not [one for one in everything if any(t in one.prompt for t in ("«abgelehnt»", "«offen»", "«Ca»"))]
    texts = [{one.prompt.split("Diagnosetext: «")[1] for one in part} for part in asked.values()]
    assert all(texts) and not texts[0] & texts[1]  # a text is in one part only


def test_a_compact_model_reads_the_pairs_too(store: Store, tmp_path: Path) -> None:
    of = coding()
    for text in ("Mammakarzinom", "Brustkrebs"):
        store.decide(add(store, text, of), decide(of, Action.ACCEPT, by="A"), seen=0)
    write_pairs(store, tmp_path)
    vocabulary = {"<|icd10gm:C50.9|>", "<|tumour:ja|>"}
    pairs = PairFolder.open(tmp_path, style="compact", vocabulary=vocabulary)
    asked = [one for chunk in pairs.read("train", (), None, 13) for one in chunk]
    assert {one.answer for one in asked} == vocabulary


def test_pairs_have_the_columns_of_training(store: Store, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    of = coding(span=(0, 8))
    store.decide(add(store, "Mamma-Ca; Prostata-Ca", of, parts=2), decide(of, Action.ACCEPT, by="A"), seen=0)
    store.decide(add(store, "anderes", of), decide(of, Action.ACCEPT, by="A"), seen=0)
    write_pairs(store, tmp_path)
    tables = [pq.read_table(tmp_path / f"{part}.parquet") for part in ("train", "development")]
    assert all(table.schema.equals(_SCHEMA) for table in tables)
    # Of a text with several diagnoses only the one that was decided.
    assert {text for table in tables for text in table["text"].to_pylist()} == {"Mamma-Ca", "anderes"}


def test_one_text_is_too_few_for_pairs(store: Store, tmp_path: Path) -> None:
    of = coding()
    store.decide(add(store, "a", of), decide(of, Action.ACCEPT, by="A"), seen=0)
    with pytest.raises(ReviewError, match="two different texts"):
        write_pairs(store, tmp_path / "pairs")


def test_the_own_table_comes_back_with_the_decisions(tmp_path: Path) -> None:
    table = tmp_path / "faelle.csv"
    table.write_text(
        'Fall;Diagnose;Station\n7;Mamma-Ca;B2\n8;"Mamma-Ca; Prostata-Ca";C1\n9;Melanom;Ä3\n10;Ca;D\n',
        "cp1252",
    )
    with Store.open(tmp_path / "r.sqlite") as store:
        new = [
            NewItem("faelle.csv", "7", "Mamma-Ca", coding()),
            NewItem("faelle.csv", "8", "Mamma-Ca; Prostata-Ca", coding(), 1, 2),
            NewItem("faelle.csv", "8", "Mamma-Ca; Prostata-Ca", coding(("C61", "C61.9", "8140/3")), 2, 2),
            NewItem("faelle.csv", "9", "Melanom", coding()),
            NewItem("andere.csv", "10", "Ca", coding()),
        ]
        store.add(new)
        items = {(item.reference, item.part): item for item in store.page("all", "")}
        change = decide(
            items["7", 1].coding, Action.CHANGE, {CodeSystem.ICD10GM: "C50.4"}, by="ME", comment="Ä"
        )
        store.decide(items["7", 1].id, change, seen=0)
        for part in (1, 2):
            store.decide(items["8", part].id, decide(items["8", part].coding, Action.ACCEPT, by="ME"), seen=0)
        out = tmp_path / "faelle-kodiert.csv"
        counts = write_own_table(store, table, out, source="faelle.csv", id_column="Fall")
        with pytest.raises(ReviewError, match="the table itself"):
            write_own_table(store, table, table, source="faelle.csv")
        with pytest.raises(ReviewError, match="has a column onkokode_"):
            write_own_table(store, out, tmp_path / "x.csv", source="faelle.csv")
        moved = tmp_path / "umsortiert.csv"
        moved.write_text("Fall;Diagnose;Station\n7;Nierenzell-Ca;B2\n8;AML;C1\n", "utf-8")
        others = write_own_table(store, moved, tmp_path / "y.csv", source="faelle.csv", id_column="Fall")
        assert others == {"with another text": 2}, "a decision is of a text, not of a number"
    assert counts == {"decided": 2, "open": 1, "not on the list": 1}
    with out.open(encoding="cp1252", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["Station"] for row in rows] == ["B2", "C1", "Ä3", "D"], "her own columns, in her own order"
    assert (rows[0]["onkokode_icd10gm"], rows[0]["onkokode_icd10gm_titel"]) == (
        "C50.4",
        "Mammakarzinom oben außen",
    )
    assert (rows[0]["onkokode_entscheidung"], rows[0]["onkokode_kommentar"]) == ("geändert", "Ä")
    assert rows[1]["onkokode_weitere"] == "C61 (C61.9, 8140/3)"
    assert [row["onkokode_hinweis"] for row in rows] == ["", "", "noch offen", "nicht auf der Liste"]
