"""Registry messages of our own for the tests, in both formats.

adt(Tumour("C34.9", diagnosis="Bronchialkarzinom")).encode()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from agent.apps.registry.report import ReportRow, open_report

NAME = "Beispielmann"  # the patient of all messages; must never show up anywhere


@dataclass(frozen=True)
class Case:
    """One tumour. A code of None leaves its element out, "" leaves it empty."""

    icd: str | None = ""
    topography: str | None = ""
    morphology: str | None = ""
    diagnosis: str = "Bronchialkarzinom rechts"
    place: str = "Oberlappen"
    histology: str = "Plattenepithelkarzinom, verhornend"
    icd_version: str = ""
    icdo_version: str = ""
    meldung: str = "M1"
    tumour: str = "1"


def _leaf(name: str, text: str | None) -> str:
    if text is None:
        return ""
    return f"<{name}>{escape(text)}</{name}>" if text else f"<{name}/>"


def _adt_code(name: str, version_name: str, code: str | None, version: str) -> str:
    return "" if code is None else _leaf(name, code) + _leaf(version_name, version)


def _obds_code(name: str, code: str | None, version: str) -> str:
    if code is None:
        return ""
    return f"<{name}>{_leaf('Code', code)}{_leaf('Version', version)}</{name}>"


def adt_meldung(case: Case) -> str:
    icd = _adt_code("Primaertumor_ICD_Code", "Primaertumor_ICD_Version", case.icd, case.icd_version)
    topography = _adt_code(
        "Primaertumor_Topographie_ICD_O",
        "Primaertumor_Topographie_ICD_O_Version",
        case.topography,
        case.icdo_version,
    )
    morphology = _adt_code(
        "Morphologie_Code", "Morphologie_ICD_O_Version", case.morphology, case.icdo_version
    )
    return f"""
   <Meldung Meldung_ID="{case.meldung}" Melder_ID="A">
    <Tumorzuordnung Tumor_ID="{case.tumour}">{icd}<Diagnosedatum>01.01.2024</Diagnosedatum></Tumorzuordnung>
    <Diagnose Tumor_ID="{case.tumour}">{icd}
     {_leaf("Primaertumor_Diagnosetext", case.diagnosis)}
     {topography}{_leaf("Primaertumor_Topographie_ICD_O_Freitext", case.place)}
     <Menge_Fruehere_Tumorerkrankung><Fruehere_Tumorerkrankung><Freitext>Hautkrebs</Freitext><ICD_Code/>
     </Fruehere_Tumorerkrankung></Menge_Fruehere_Tumorerkrankung>
     <Menge_Histologie><Histologie>{morphology}{_leaf("Morphologie_Freitext", case.histology)}</Histologie>
     </Menge_Histologie>
    </Diagnose>
   </Meldung>"""


def obds_meldung(case: Case) -> str:
    return f"""
   <Meldung Meldung_ID="{case.meldung}" Melder_ID="A">
    <Tumorzuordnung Tumor_ID="{case.tumour}">{_obds_code("Primaertumor_ICD", case.icd, case.icd_version)}
     {_obds_code("Morphologie_ICD_O", case.morphology, case.icdo_version)}</Tumorzuordnung>
    <Diagnose>{_leaf("Primaertumor_Diagnosetext", case.diagnosis)}
     {_obds_code("Primaertumor_Topographie_ICD_O", case.topography, case.icdo_version)}
     {_leaf("Primaertumor_Topographie_Freitext", case.place)}
     <Histologie>{_obds_code("Morphologie_ICD_O", case.morphology, case.icdo_version)}
      {_leaf("Morphologie_Freitext", case.histology)}</Histologie>
    </Diagnose>
   </Meldung>"""


def document(kind: str, meldungen: str, encoding: str = "UTF-8") -> str:
    """`kind` is adt or obds."""
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    if kind == "adt":
        root, attributes = "ADT_GEKID", 'xmlns="http://www.gekid.de/namespace" Schema_Version="2.2.3"'
        patient = f"<Patient><Patienten_Stammdaten><Patienten_Nachname>{NAME}</Patienten_Nachname>"
    else:
        root = "oBDS"
        attributes = 'xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4"'
        patient = f'<Patient Patient_ID="7"><Patienten_Stammdaten><Nachname>{NAME}</Nachname>'
    return (
        f"{head}<{root} {attributes}><Absender/><Menge_Patient>{patient}</Patienten_Stammdaten>"
        f"<Menge_Meldung>{meldungen}\n</Menge_Meldung></Patient></Menge_Patient></{root}>\n"
    )


def adt(*cases: Case, encoding: str = "UTF-8") -> str:
    return document("adt", "".join(map(adt_meldung, cases)), encoding)


def obds(*cases: Case, encoding: str = "UTF-8") -> str:
    return document("obds", "".join(map(obds_meldung, cases)), encoding)


def as_csv(rows: Iterable[ReportRow], with_text: bool = False) -> str:
    """Rows as a report file holds them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.csv"
        with open_report(path, with_text=with_text) as report:
            for row in rows:
                report.write(row)
        return path.read_text(encoding="utf-8-sig")
