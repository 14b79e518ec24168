"""What is no diagnosis of a tumour although it speaks of one: hard negatives for tumour recognition.

    non_tumour_contexts(random.Random(2), "V.a. NSCLC")         # 'kein Anhalt für NSCLC'

A tumour that is denied, feared, screened for or somebody else's, and what is done and found on the same wards.
Nothing here says that the patient has or had the tumour.
"""

from __future__ import annotations

import random

from training import wrappers
from training.wrappers import one

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
