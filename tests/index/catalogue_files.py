"""Tiny catalogue files in every layout, in our own wording, for the tests of this folder."""

from __future__ import annotations

PLAIN_ALPHABET = """\ufeffPankreastumor, bösartig {C25.9}
Lungenkrebs des Oberlappens - s.a. Bronchialkrebs {C34.1}
Tumor am Hals a.n.k. {C76.0}
Gelenkbeschwerden bei Testkrankheit (M01.39*) {+A01.0}
"""

OFFICIAL_ALPHABET = """0;1;1;;;;Gewächs - s. Neubildung;\r
1;115001;1;C44.5;;;Hautkrebs am Rücken;\r
2;115002;1;A01.0+;M01.39*;;Gelenkleiden bei Bauchtyphus;\r
5;116030;1;;;B96.5!;Erreger allein;\r
"""

ALPHA_ID_SE = """1|I129700|C18.9|||Z80.0|443909|Erblicher Dickdarmkrebs\r
0|I100000|E20.1||||665|Ungültiger Eintrag\r
1|I129755||||Z80.0|1|Familiäres Risiko\r
1|I129750|A17.0+|G01*|||4|Hirnhautentzündung, tuberkulös\r
"""

ALPHA_ID = """1|I129700|C18.9||||Dickdarmkrebs\r
1|I129701|C34.1||||Oberlappenkrebs\r
"""

TUMOUR_TERMS = """Alpha-ID;Label;ICD-10-Code;Tumordiagnose
I135550;Oberlappentumor der Lunge;C34.1;1
I135549;"Lymphom mit t(1;19)";C83.5;1
"""

TOPOGRAPHY_TERMS = """\ufeffID;ICD-10-Code;ICD-O-Code;ICD-10 Text;Label;Topography Text;Extended Label;Prompt Text
I1;C34.1;C34.1;Lunge;Krebs des Lungenoberlappens;Oberlappen;x;y
I2;D17.7;C15.0;Lipom;Fettgeschwulst der Niere;Speiseröhre;x;y
I3;D17.7;C64.9;Lipom;Fettgeschwulst am Lid;Niere;x;y
"""

RUBRICS = """ICD10;Label;Rubrik
C34;Krebs der Lunge;
C34.1;Krebs der Lunge: Oberlappen;preferredLong
C34.1;Lingulakrebs;inclusion
C34.1;Rippenfellkrebs;exclusion
"""


def metadata(*, old: bool = False) -> str:
    """ICD-10-GM metadata with C34 and C34.1, C61 (men from 30 on), C90 to C90.00, B96.5!, G01*."""
    ages = {"": "9;9;9999;9999;9", "M": "M;K;j030;j124;K", "N": "9;9;t028;j001;M"}
    if old:
        ages = {"": "9;9;999;9999;999;9999;9", "M": "M;K;230;j030;324;j124;K", "N": "9;9;101;t028;201;j001;M"}

    def row(
        level: int, end: str, chapter: str, marked: str, title: str, use: str = "P", age: str = ""
    ) -> str:
        code = marked.rstrip("*!").rstrip("-").rstrip(".")
        return (
            f"{level};{end};X;{chapter};{code[:3]};{marked};{code};{code.replace('.', '')};{title};a;b;c;"
            f"{use};{use};1;2;3;4;5;{ages[age]};N;J;N;N"
        )

    return "".join(
        line + ("\r\n" if old else "\n")
        for line in (
            row(3, "N", "02", "C34.-", "Krebs der Lunge", "V"),
            row(4, "T", "02", "C34.1", "Krebs der Lunge: Oberlappen"),
            row(3, "T", "02", "C61", "Krebs der Prostata", "P", "M"),
            row(3, "N", "02", "C90.-", "Plasmazellkrebs", "V"),
            row(4, "N", "02", "C90.0-", "Myelom"),
            row(5, "T", "02", "C90.00", "Myelom: aktiv"),
            row(3, "N", "01", "B96.-!", "Keime", "V"),
            row(4, "T", "01", "B96.5!", "Keim", "Z"),
            row(3, "T", "06", "G01*", "Entzündung bei anderem", "O"),
            row(3, "T", "16", "P80", "Auskühlung des Säuglings", "P", "N"),
        )
    )


OPS = """code\tparent\tdisplay
5\t\tEingriffe
5-87...5-88\t5\tBrust
5-87\t5-87...5-88\tEntfernung
5-870\t5-87\tTeilentfernung
5-870.a\t5-870\tTeilentfernung: kleines Stück
"""

MORPHOLOGY = """\ufeffcode;dignität;name;histologie;group
8140/3;3;Drüsenkrebs o.n.A.;8140;04
8140/9;9;;8140;04
8077/1;1;Kombination nicht in ICDO3 Katalog enthalten, aber zulässig;8077;01
"""
TOPOGRAPHY = """\ufeffid;code;name;id3;istPaarig
C341;C34.1;Oberlappen;C34;1
C34;C34;Lunge;C34;
"""
ICD10 = """\ufeffid;code;name;id3;epi_valide;p65_valide
C34;C34;Krebs der Lunge;C34;True;
C341;C34.1;Krebs des Oberlappens;C34;True;True
"""
SIDE = "\ufeffcode;name\nL;Links\nR;Rechts\n"

CROSSWALK = """Version\tTopographie\tTopographie Text\tMorphologiecodes\tDignität\tDefault\tICD10\tICD-10 Text
ICD-O-3.2 2019\tC34\\.1\tOberlappen\t8000-8719, 9140\t/3\t1\tC34.1\tKrebs
ICD-O-3.2 2019\tC(?!80\\.9)\\d\\d\\.\\d\tjede\t8000-9589\t/6\t0\tC*\tirgendein
"""

ICDO = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ClaML SYSTEM "ClaML.dtd">
<ClaML version="2.0.0">
  <Meta name="titleLong" value="Klassifikation für die Onkologie, Revision 2019"/>
  <Title date="2020-11-27" name="ICD-O-3" version="Zweite Revision">Onkologie</Title>
  <Class code="T" kind="chapter"><Rubric kind="preferred"><Label>Orte</Label></Rubric></Class>
  <Class code="C34" kind="category"><SuperClass code="T"/><SubClass code="C34.1"/>
    <Rubric kind="preferred"><Label>Lunge</Label></Rubric></Class>
  <Class code="C34.1" kind="category"><SuperClass code="C34"/>
    <Rubric kind="preferred"><Label>Oberlappen</Label></Rubric>
    <Rubric kind="exclusion"><Label>Lungenspitze außen<Reference class="in brackets">C38.4</Reference></Label></Rubric>
    <Rubric kind="inclusion"><Label>Oberlappen o.n.A. <Term class="italic">(Exkl.: Mittellappen (rechts)</Term><Reference
      class="in brackets">C34.2</Reference><Term class="italic">)</Term></Label></Rubric>
    <Rubric kind="inclusion"><Label><Fragment type="list">Gewebe von <Term class="italic">(siehe Liste)</Term></Fragment>
      <Fragment type="list">Lingula</Fragment></Label></Rubric>
    <Rubric kind="note"><Label><Para>Nicht bei <Reference>C34.9</Reference></Para></Label></Rubric></Class>
  <Class code="8140:3" kind="category"><SuperClass code="M"/>
    <Rubric kind="preferred"><Label>Drüsenkrebs<Reference class="in brackets" code="C61">C61.9</Reference></Label></Rubric>
    <Rubric kind="inclusion"><Label><Fragment class="synlist" type="list"/><Fragment type="list">Krebs der
      Drüse<Reference class="in brackets">C61.9</Reference> [obs.]</Fragment></Label></Rubric>
    <Rubric kind="inclusion"><Label><Fragment class="synlist" type="list">Adeno-Ca</Fragment><Fragment
      type="list">ACA</Fragment></Label></Rubric></Class>
</ClaML>
"""

ICD10_CLAML = """<ClaML version="2.0.0">
  <Title date="2025-09-12" name="ICD-10-GM" version="2026">ICD-10-GM</Title>
  <Modifier code="S04E10_4"><SubClass code=".0"/><SubClass code=".1"/></Modifier>
  <ModifierClass code=".0" modifier="S04E10_4"><SuperClass code="S04E10_4"/>
    <Rubric kind="preferred"><Label>mit Koma</Label></Rubric></ModifierClass>
  <ModifierClass code=".1" modifier="S04E10_4" usage="dagger">
    <Rubric kind="preferred"><Label>mit Nierenleiden</Label></Rubric></ModifierClass>
  <ModifierClass code="0" modifier="S04E10_5"><Rubric kind="preferred"><Label>stabil</Label></Rubric></ModifierClass>
  <ModifierClass code="1" modifier="S04E10_5">
    <Meta name="excludeOnPrecedingModifier" value="S04E10_4 .0"/>
    <Rubric kind="preferred"><Label>entgleist</Label></Rubric></ModifierClass>
  <ModifierClass code="0" modifier="S02C90_5"><Rubric kind="preferred"><Label>aktiv</Label></Rubric></ModifierClass>
  <ModifierClass code="1" modifier="S02C90_5"><Rubric kind="preferred"><Label>ruhend</Label></Rubric></ModifierClass>
  <Class code="II" kind="chapter"><SubClass code="C81-C96"/>
    <Rubric kind="preferred"><Label>Neubildungen</Label></Rubric></Class>
  <Class code="C81-C96" kind="block"><SuperClass code="II"/>
    <Rubric kind="preferred"><Label>Blutkrebs</Label></Rubric></Class>
  <Class code="C90" kind="category"><SuperClass code="C81-C96"/><SubClass code="C90.0"/><SubClass code="C90.8"/>
    <ModifiedBy code="S02C90_5" all="true"/>
    <Rubric kind="preferred"><Label>Plasmazellkrebs</Label></Rubric></Class>
  <Class code="C90.0" kind="category"><SuperClass code="C90"/>
    <Rubric kind="preferred"><Label>Myelom</Label></Rubric>
    <Rubric kind="preferredLong"><Label>Plasmazellkrebs: Myelom</Label></Rubric>
    <Rubric kind="inclusion"><Label>Kahler</Label></Rubric></Class>
  <Class code="C90.8" kind="category"><SuperClass code="C90"/><ExcludeModifier code="S02C90_5"/>
    <Rubric kind="preferred"><Label>Sonstiges</Label></Rubric></Class>
  <Class code="C91" kind="category"><SuperClass code="C81-C96"/>
    <ModifiedBy code="S04E10_4" all="false"><ValidModifierClass code=".1"/></ModifiedBy>
    <Rubric kind="preferred"><Label>Leukämie</Label></Rubric></Class>
  <Class code="E10" kind="category"><SuperClass code="E10-E14"/>
    <ModifiedBy code="S04E10_4" all="true"/><ModifiedBy code="S04E10_5" all="true"/>
    <Rubric kind="preferred"><Label>Zuckerkrankheit</Label></Rubric></Class>
  <Class code="G01" kind="category" usage="aster"><SuperClass code="G00-G09"/>
    <Rubric kind="preferred"><Label>Entzündung bei anderem</Label></Rubric></Class>
  <Class code="B96" kind="category" usage="optional"><SuperClass code="B95-B98"/>
    <Rubric kind="preferred"><Label>Keime</Label></Rubric></Class>
</ClaML>
"""
