"""What is no diagnosis of a tumour although it speaks of one: hard negatives for tumour recognition.

    non_tumour_contexts(random.Random(2), "V.a. NSCLC")         # 'kein Anhalt für NSCLC'

A tumour that is denied, feared, screened for or somebody else's, and what is done and found on the same wards.
Nothing here says that the patient has or had the tumour.
"""

from __future__ import annotations

import random

from training.texts import wrappers
from training.texts.wrappers import one

NEGATIVE_FRAMES = (
    "Ausschluss {t}", "kein Anhalt für {t}", "Kein Hinweis auf {t}", "Familienanamnese: {t}", "FA positiv für {t}",
    "Mutter: {t}", "Vater verstorben an {t}", "Schwester mit {t}", "Familiäre Belastung ({t})", "Vorsorge {t}",
    "Screening auf {t}", "Früherkennung {t}", "Aufklärung über {t}", "{t} ausgeschlossen", "Angst vor {t}",
    "kein Nachweis von {t}", "Z.A. {t}", "Zum Ausschluss {t}", "{t} histologisch nicht bestätigt", "Impfung gegen {t}",
    "Risiko für {t} erhöht", "Beratung bei familiärem {t}", "Bruder: {t}", "Informationsgespräch {t}",
    "Teilnahme an Studie zur Prävention von {t}", "{t} beim Ehemann", "Vorsorge auf {t}", "DD {t} ausgeschlossen",
    "Verdacht auf {t} nicht bestätigt", "V.a. {t}, Histologie: kein Malignitätsnachweis", "Tumorsuche bei Gewichtsverlust",
    "FA: Mutter {t}, Vater KHK", "Fam.-Anamnese: Großmutter mütterlicherseits {t}", "Tante: {t}", "Vater {t} mit 62 J.",
    "Mutter an {t} erkrankt", "Familienanamnese: Schwester {t} (45 J.), Bruder gesund", "Sohn mit {t}",
    "Eltern: Vater {t}, Mutter gesund", "FA: {t} (Onkel)", "Cousine mit {t}", "Großvater: {t}", "Zwillingsbruder: {t}",
    "Ehefrau an {t} verstorben", "Belastungsreaktion nach {t} der Ehefrau", "betreut die an {t} erkrankte Mutter",
    "Kein Anhalt für Rezidiv oder {t}", "CT Abdomen: kein {t}", "MRT ohne Hinweis auf {t}", "PE: kein {t}",
    "Histologie: kein {t}, chronische Entzündung", "Biopsie ohne Nachweis von {t}", "Kanzerophobie ({t})",
    "{t}? - nicht bestätigt", "Fragestellung: {t}? Befund unauffällig", "Wunsch nach Vorsorge wegen {t} in der Familie",
    "genetische Beratung wegen {t} bei der Mutter", "BRCA-Testung, Mutter mit {t}", "Organspender: {t} ausgeschlossen",
    "unauffällige Vorsorge, kein {t}", "keine Vorgeschichte von {t}", "Befürchtung eines {t}, Untersuchung unauffällig",
    "Pat. befürchtet {t}", "{t}-Screening", "Aufklärungsbogen {t}", "Fortbildung {t}", "Ausschlussdiagnostik {t}",
)  # fmt: skip
PROCEDURES = (
    "Hemikolektomie rechts", "Biopsie der Mamma", "Nachsorge unauffällig", "Koloskopie ohne Befund", "TUR-Blase",
    "Portimplantation", "Portexplantation", "Mammographie-Screening BI-RADS 1", "Stanzbiopsie Prostata, 12 Zylinder",
    "Lymphknotenexstirpation zervikal", "Gastroskopie mit PE", "Anlage eines Ileostomas", "CT Thorax/Abdomen nativ",
    "Hautkrebsscreening unauffällig", "Exzision einer Hautveränderung", "Bronchoskopie mit BAL", "Thyreoidektomie",
    "Laparoskopische Cholezystektomie", "PSA-Kontrolle", "Wächterlymphknotenbiopsie", "Knochenmarkpunktion",
    "Mastektomie mit Sofortrekonstruktion", "Radikale Prostatektomie nach Retzius", "Lobektomie Oberlappen links",
    "Polypektomie im Sigma", "Konisation", "Abrasio uteri", "Verabreichung von Cisplatin", "Strahlentherapieplanung",
    "Ernährungsberatung", "Wundkontrolle nach Exzision", "Nephrektomie rechts", "Restaging-CT", "PET-CT ganzer Körper",
    "BI-RADS 2 beidseits", "Pleurapunktion", "Narbenhernie", "Hepatitis B", "Sigmadivertikulitis", "Leberzirrhose Child A",
    "Nierenzyste links", "Refluxösophagitis", "Struma nodosa, euthyreot", "Hämorrhoiden II. Grades", "Mastopathie",
    "Gynäkomastie", "BPH", "Prostatitis", "Chemotherapiezyklus 3 ohne Komplikation", "Lungenembolie", "Fettleber",
    "Mammareduktionsplastik", "Zustand nach Appendektomie", "Pneumonie rechter Unterlappen", "Lymphödem des Armes",
    "Whipple-OP", "Pankreaslinksresektion", "Leberteilresektion Segment II/III", "Zystektomie mit Ileumconduit",
    "Axilladissektion Level I-II", "Neck dissection links", "Port-Spülung", "Zyklus 4 FOLFOX", "Zyklus 2 R-CHOP",
    "Bisphosphonatgabe", "Bestrahlung der LWS, 10 x 3 Gy", "Afterloading", "Radiojodtherapie", "TACE", "SIRT-Planung",
    "Rektumresektion mit Schutzileostoma", "Ileostomarückverlagerung", "Gastrektomie mit Roux-Y", "Laryngektomie",
    "Tracheotomie", "PEG-Anlage", "DJ-Schienenwechsel rechts", "MRT-Kopf ohne Befund", "Skelettszintigraphie unauffällig",
    "BI-RADS 3 links, Kontrolle in 6 Monaten", "PI-RADS 2", "Lymphknoten axillär reaktiv", "Sentinel-LK tumorfrei",
    "Pap II", "Pap III p, HPV negativ", "HPV-Impfung", "Mammazyste links", "Leberzyste", "Ovarialzyste rechts",
    "Lungenrundherd 4 mm, Kontrolle", "Colon irritabile", "Analfissur", "Helicobacter-Gastritis", "Barrett-Ösophagus",
    "hyperplastischer Polyp im Rektum", "Cholezystolithiasis", "chronische Pankreatitis", "Choledocholithiasis",
    "Atherom am Rücken", "Seborrhoische Keratose", "Verruca vulgaris", "aktinische Keratose der Stirn", "Hautfibrose",
    "Wundheilungsstörung nach Mastektomie", "Serom nach Axilladissektion", "Kapselfibrose nach Brustimplantat",
    "Neutropenie unter Chemotherapie", "Mukositis nach Radiatio", "Strahlenproktitis", "Polyneuropathie nach Oxaliplatin",
    "Tumormarker CEA im Normbereich", "PSA-Erhöhung", "Eisenmangelanämie", "Thrombozytose, reaktiv", "Leukozytose",
    "MGUS ausgeschlossen", "reaktive Lymphadenopathie", "Sarkoidose", "Monozytose", "Splenomegalie", "Lymphadenitis colli",
    "Tumornachsorge ohne Befund", "Haarprothesenverordnung", "Anschlussheilbehandlung", "Schwerbehindertenantrag",
    "psychoonkologische Beratung", "Palliativversorgung, Erstgespräch", "Humangenetische Beratung", "BRCA1-Testung",
    "Krebsvorsorge Frau", "Krebsvorsorge Mann", "Hautscreening", "iFOBT positiv", "Vorsorgekoloskopie unauffällig",
)  # fmt: skip


def non_tumour_contexts(rng: random.Random, tumour_text: str) -> str:
    """A hard negative for tumour recognition: the text's tumour negated, feared, screened for or somebody
    else's (two in three), or a procedure or finding of the same wards (one in three). `tumour_text` should
    be a plain term without TNM or therapy (`NSCLC`, `Mammakarzinom links`); a leading `V.a.` is cut."""
    if rng.random() < 0.34:
        text = one(rng, PROCEDURES)
        draw = rng.random()
        if draw < 0.3:
            return f"{text} {1 + int(rng.random() * 12):02d}/{2008 + int(rng.random() * 17)}"
        return f"{one(rng, ('Z.n. ', 'geplant: ', 'Therapie: ', 'Aktuell: '))}{text}" if draw < 0.4 else text
    start = next((len(prefix) for prefix in wrappers.ALL_PREFIXES if tumour_text.startswith(prefix)), 0)
    return one(rng, NEGATIVE_FRAMES).format(t=tumour_text[start:] or tumour_text)


# What a practice writes around any diagnosis; {y} is a year of two or four digits, {m} a month.
_AROUND = (
    "{t} (ED {m}/{y})", "{t}, ED {y}", "{t}, (ED {m}/{y})", "{t} seit {y}", "{t}, Erstdiagnose {y}", "{t} ({m}/{y})", "{t}, ({m}/{y})",
    "Z.n. {t} {y}", "Z.n. {t}", "V.a. {t}", "bek. {t}", "bekannte {t}", "rez. {t}", "chron. {t}", "akute {t}", "{t} bds.",
    "{t} re.", "{t} li.", "{t} links", "{t} rechts", "{t}, n.n.bez.", "{t}, nnb", "{t} o.n.A.", "{t} n.n.bz.", "n.n.bz. {t}",
    "{t} (G)", "{t} (V)", "{t}, gesichert", "{t}?", "DD {t}", "{t}, medikamentös eingestellt", "{t} unter Therapie",
    "{t}, stabil", "{t}, Kontrolle", "{t}, Verlaufskontrolle", "Diagnose: {t}", "ND: {t}", "1. {t}", "- {t}", "Dg.: {t}",
    "{t}, {s}", "{s}, {t}", "{t}; {s}", "{s}; {t}", "{t}, {s}, {o}", "{s}, {o}, {t}",
)  # fmt: skip
# A tumour of the patient among words that elsewhere deny one, or name what was done.
_STILL_A_TUMOUR = (
    "{t} in der Vorgeschichte", "{t} in der Anamnese", "anamnestisch {t}", "Eigenanamnese: {t}", "ehemals {t}", "Z.n. {t} vor {m} Jahren",
    "Z.n. {p} bei {t}", "Z.n. {p} bei {t} {y}", "{t}, Z.n. {p}", "{t}; Z.n. {p} {y}", "{t}, {p} {m}/{y}", "{t}, {p} geplant", "Zustand nach {p} wegen {t}",
    "{t}, aktuell kein Anhalt für Rezidiv", "{t}, keine Fernmetastasen", "{t}, Lymphknoten nicht befallen", "{t}; FA leer", "{t}, Nachsorge unauffällig",
    "{t}; Familienanamnese unauffällig", "{t}, CT ohne Metastasen", "{t}, Staging ohne Fernmetastasen", "Nachsorge bei {t}", "{t}, Screening-Befund",
)  # fmt: skip
_AILING = (
    "Tumorkachexie", "Tumorschmerz", "Tumorschmerzen", "Tumorfatigue", "Tumorlysesyndrom", "Tumorleiden im Endstadium der Ehefrau",
    "Tumormarkerkontrolle", "Tumorkonferenz", "Tumorboardvorstellung", "Tumornachsorge", "Tumorassoziierte Fatigue", "Tumorsuche",
    "Hb 8,3", "Hb 10,1 g/dl, Ferritin 12", "Ca 2,31 mmol/l", "Na 132, K 4,1, Ca 2,2", "K 5,8, Ca 1,9", "CRP 48, Leuko 13", "CA 15-3 normwertig",
    "CA 125 im Verlauf stabil", "D-Dimere 1,2", "Krea 1,9, GFR 34", "TSH 4,8", "Quick 38 %", "HbA1c 8,2 %", "Troponin negativ",
    "Pleuraerguss", "Pleuraerguss links", "Perikarderguss", "Chylaskos", "Ileus", "Subileus", "Dyspnoe", "Hämoptysen", "Makrohämaturie", "Harnverhalt",
    "Gewichtsverlust", "Nachtschweiß", "Fieber unklarer Genese", "B-Symptomatik", "Panzytopenie", "Leukopenie", "Thrombopenie", "Hyperkalzämie",
    "Rückenschmerzen", "Knochenschmerz", "Kopfschmerz", "Krampfanfall", "Querschnittslähmung", "Rechtsherzbelastung", "Spannungspneumothorax",
    "Stomaversorgung", "Stomaprolaps", "Portinfektion", "Portthrombose", "Wundinfekt", "Lymphozele", "Narbenschmerz", "Phantomschmerz", "Mammazyste bds.",
    "Knie-TEP re.", "Schulterprothese", "Hüft-TEP li., Kontrolle", "Termin vereinbart", "Arztbrief angefordert", "Überweisung Urologie",
    "M. Crohn", "M. Parkinson", "M. Dupuytren", "M. Bechterew", "M. Scheuermann", "M. Menière", "M. Sudeck", "M. Osgood-Schlatter",
    "NIDDM", "DM2", "aHT", "KHK", "VHF", "pAVK", "COPD", "HWI", "TVT", "LAE", "PNP", "BSV L4/5", "OSG-Distorsion", "SHT", "ISG-Blockade",
)  # fmt: skip


def ailment(rng: random.Random, text: str) -> str:
    """A diagnosis that is no tumour as practice and ward write it: with a date, a side, a certainty, in a list.
    One in ten gives way to a finding or a value that is written the same way."""
    if rng.random() < 0.1:
        text = one(rng, _AILING)
    frame = one(rng, _AROUND)
    year = 1963 + int(rng.random() * 62)
    return frame.format(
        t=text,
        s=one(rng, wrappers.SECONDARY_DIAGNOSES),
        o=one(rng, wrappers.SECONDARY_DIAGNOSES),
        m=1 + int(rng.random() * 12),
        y=year if rng.random() < 0.6 else f"{year % 100:02d}",
    )


def still_a_tumour(rng: random.Random, tumour_text: str) -> str:
    """A tumour of the patient with a procedure, a history or an exclusion beside it."""
    return one(rng, _STILL_A_TUMOUR).format(
        t=tumour_text, p=one(rng, PROCEDURES), m=1 + int(rng.random() * 12), y=1990 + int(rng.random() * 35)
    )


def among_ailments(rng: random.Random, tumour_text: str, others: tuple[str, str]) -> str:
    """A tumour diagnosis in a list of one to two other ailments, at any place: still a tumour."""
    listed = [tumour_text, *others[: 1 + int(rng.random() * 2)]]
    rng.shuffle(listed)
    if rng.random() < 0.2:
        return " ".join(f"{number}. {text}" for number, text in enumerate(listed, start=1))
    return one(rng, (", ", ", ", "; ", "\n", " / ")).join(listed)
