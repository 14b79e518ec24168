"""How sure a diagnosis is, on which side, of whom, and whether words name a tumour or a place.

    find_certainty("V.a. Mammakarzinom")        # ('Verdacht', [(0, 4)])
    find_side("Mammakarzinom li.")              # ('links', [(14, 17)])

All patterns take linear time; spans count characters of the text that is passed in.
"""

from __future__ import annotations

import re

from agent.prepare.abbreviations import ABBREVIATIONS, CONTEXTUAL
from agent.prepare.alternatives import by_first_letter
from agent.prepare.mentions import Mentions
from agent.prepare.records import Certainty, Side

Span = tuple[int, int]
_I = re.IGNORECASE

# Of the words that begin with any letter, the ending is looked for first.
_TUMOUR_WORDS = by_first_letter(
    r"karzin|carcin|karcin|krebs(?!-?(?:reg|ber|früh|vors|screen|hilfe|angst))|malignom(?!suche|ausschl|nachw)|neubildung|neoplas|sarkom|sarcom|lymphom|leuk[äe]|leucäm|myelom(?!-?screen)|melanom(?!-?(?:screen|vorsorge))|mycosis fungo|mykosis fungo|lentigo maligna|[a-z]zelltu\b|zytom|blastom|"
    r"gliom|metast|filia|filie|adenom|tumor(?!-?(?:konf|board|marker|schmerz|kach|dok|formel|zentr|last|suche|frei|nachs|sprech|anäm|fatig|lyse|assoz|progress|patient|stad|größe|dicke|ausd|durchm|lokalis|klassif|histol))|basaliom|morbus(?! (?:crohn|basedow|parkinson|ormond|bechterew|scheuermann|meni|sudeck|dupuytren|boeck|meulengr|alzheimer|whipple|perthes|osler|wilson|addison|cushing|beh[çc]et|raynaud|werlhof))|hodgkin|myelodys|poly[cz]yth|thrombozyth|myelofibrose|gammopathie|"
    r"mastozytose|histiozyt|n[äa]vus|polyp(?<!stimmlippenpolyp)(?<!stimmbandpolyp)(?<!nasenpolyp)(?<!zervixpolyp)(?<!cervixpolyp)(?<!korpuspolyp)(?<!corpuspolyp)(?<!endometriumpolyp)(?<!gallenblasenpolyp)(?<!cholesterinpolyp)(?<!ohrpolyp)|in situ|dysplasie(?!sprech|ambul)|plasmozyt|ewing|wilms|kaposi|klatskin|krukenberg|waldenström|burkitt|s[ée]zary|warthin|queyrat|linitis|phyll?oid|desmoid|"
    r"karzinoid|intraepithelial|mammaca(?![a-zäöüß])|prostataca(?![a-zäöüß])|lipom|myom|[a-zäöü]{4}(?:(?<![ia])ca(?![a-zäöüß])|(?=om)(?<!syndr)(?<!sympt)(?<!hämat)(?<!aemat)(?<!glauk)(?<!omos)(?<!yndr)(?:om|ome|oms|omen)(?![a-zäöüß]))"
)
# Of the abbreviations with several readings only those that name a tumour in each; "PA" or "OS" may be anything.
_TUMOUR_ABBREVIATIONS = by_first_letter(
    "|".join(
        re.escape(short)
        for short in sorted((*ABBREVIATIONS, *CONTEXTUAL), key=len, reverse=True)
        if len(short) > (1 if short in ABBREVIATIONS else 2) or short in ("MM", "ET", "PV", "HL", "FL")
        if all(
            re.search(_TUMOUR_WORDS, reading.expansion, _I)
            for reading in (CONTEXTUAL.get(short) or (ABBREVIATIONS[short],))
        )
    ),
    cased=True,
)
TUMOUR = re.compile(
    rf"(?i:{_TUMOUR_WORDS})|(?<![A-Za-zÄÖÜäöü])(?:{_TUMOUR_ABBREVIATIONS}|(?:CIN|VIN|AIN|VAIN|PIN)(?![ -]?(?:[12]|II?)(?![\w/-]))|MEN)(?![A-Za-zÄÖÜäöü])"
)
# Words that name a finding, not yet a diagnosis: "Lungentumor, V.a. Bronchialkarzinom" is one diagnosis.
_GENERIC = re.compile(
    r"(?<!zell)(?<!stroma)(?<!misch)(?<!krine )(?<!krine[mnrs] )(?<!wilms)tumor(?:en|s)?\b|raumforderung|neubildung|polyp|\bTu\b|\bTm\b|n[äa]vus",
    _I,
)
METASTASIS = re.compile(
    r"metastas(?!iert)|filia(?!lisiert|risiert)|filie|[ck]ar[cz]inose|meningeosis|\bmetas\b|\bmets\b|metas(?![a-zäöü])|\bmts\b|(?-i:\bMet\b|[a-zäöü]{3}(?:met|metast)\.)",
    _I,
)
METASTATIC = re.compile(r"metastasiert|metast\.|filialisiert|filiarisiert", _I)
TOPOGRAPHY = re.compile(
    by_first_letter(
        r"mamma|brust|quadrant|lunge|bronch|lappen|pleura|mediastin|trachea|larynx|kehlkopf|pharynx|rachen|zunge|tonsill|mund|gaumen|lippe|"
        r"speichel|parotis|ösophag|oesophag|speiseröhr|magen|kardia|antrum|pylor|duoden|dünndarm|ileum|jejun|appendi|z[öä]kum|c[ao]ecum|kolon|colon|flexur|sigma|"
        r"re[ck]t|anal|anus|leber|hepat|galle|papill(?!är|om)|pankreas|pancreas|milz|peritone|retroperi|niere|ureter|harn|blase|trigonum|vorderwand|hinterwand|seitenwand|urethra|prostata|hoden|penis|"
        r"skrot|uterus|zervix|cervix|endometri|korpus|corpus|portio|ovar|eierstock|tube|vagin|vulva|labi|plazenta|haut|lid|wange|nase|ohr|stirn|kopf|hals|nacken|"
        r"rücken|schulter|arm|bein|schenkel|hand|fuß|finger|zehe|rumpf|bauch|knochen|femur|tibia|humerus|becken|wirbel|rippe|schädel|weichteil|bindegewebe|lymphknoten|axill|"
        r"leiste|hirn|zerebr|cerebr|kleinhirn|mening|hypophys|auge|retina|aderhaut|schilddrüs|nebenschild|nebennier|thymus|knochenmark|blut|frontal|temporal|parietal|okzipital|"
        r"\b(?:[ou][ai]q|LK|OL|UL|ML)\b"
    ),
    _I,
)
# Words of one organ, by organ; what may belong to several (Kopf, Hals, Körper, Lappen) is none of them.
_ORGANS = tuple(
    re.compile(words, _I)
    for words in (
        r"mamma|brust(?!wirb)|quadrant", r"lunge|bronch|pulmo|n?sclc", r"pleura", r"mediastin|thymu", r"larynx|kehlkopf|glott|stimm",
        r"pharynx|rachen|zunge|tonsill|mundboden|mundhöhle|gaumen|lippe(?!nhaut)|speichel|parotis", r"ösophag|speiseröhr",
        r"magen|kardia|antrum|pylor", r"duoden|dünndarm|ileum|jejun", r"kolon|flexur|sigm|appendi|zäkum|kolorekt|darm(?!bein)|re[ck]t(?!o?peri)|anal|anus",
        r"leber|hepat|galle|cholang|klatskin", r"pankrea", r"milz", r"peritone", r"niere(?!nbeck)|nierenzell|hypernephr", r"nierenbeck|ureter|harnleit",
        r"blase(?<!gallenblase)|urothel", r"prostat", r"hoden|semin", r"penis|glans|vorhaut", r"uterus|zervi|endometri|portio|gebärmutter", r"ovar|eierstock|tube",
        r"vagin|scheide", r"vulv|labi", r"hirn|zerebr|gliom|gliobl|mening", r"auge|retina|aderhaut|chorioid", r"schilddrüs", r"nebennier", r"lymphom|leukäm|myelom|hodgkin|plasmozyt|myelodys",
        r"nase(?!n?neben)", r"wange", r"stirn", r"schläfe", r"\bohr", r"rücken", r"schulter", r"\b(?:ober|unter)?arm", r"\b(?:ober|unter)schenkel|\bbein\b", r"\bhand|finger", r"\bfuß|zehe", r"kopfhaut|kapillit",
    )
)  # fmt: skip
# A histology that says nothing about the organ; after a tumour with its organ it is that tumour's histology.
HISTOLOGY = re.compile(
    r"adeno|plattenepithel|urothel|siegelring|duktal|ductal|lobulär|muzinös|serös|kleinzellig|großzellig|klarzellig|endometrioid|azinär|papillär|neuroendokrin"
    r"|undifferenziert|in situ|medullär|basaloid|verhornend|tubulär|\bNST\b|\bDCIS\b|\bIDC\b|\bILC\b",
    _I,
)

_EXCLUSION_LEAD = (
    r"(?:zum |z\. ?A\. ?)?\bAusschlu(?:ss|ß)(?: eine[srn]?| von| des| der)?(?!\w)|\bA\. ?v\. (?=\w)"
    r"|\b(?:kein(?:e[nrms]?)?|ohne)(?: (?:sicher\w{0,3}|eindeutig\w{0,3}|weiter\w{0,3}|aktuell\w{0,3})){0,2} (?:Anhalt\w{0,5}|Hinweis\w{0,3}|Nachweis\w{0,3}|Verdacht|Zeichen|Evidenz)(?: (?:auf|für|von|eine[srn]?|eines))?(?: eine[srn]?| ein)?(?!\w)"
    r"|\b(?:o\. ?[nB]\.|ohne Nachweis einer) (?=Malign)"
    r"|\b(?:kein(?:e[nrms]?)?|ohne) (?=(?:[\wäöüß-]{1,30} ){0,2}[\wäöüß-]{0,30}(?:karzinom|metasta|filia|tumor|malign|rezidiv|leukämi|lymphom|melanom|sarkom|neoplas|dysplas|krebs|adenom|raumforderung|rundherd|polyp|-?\bca\b\.?))"
    rf"|\b(?:kein(?:e[nrms]?)?|ohne) (?=(?-i:{_TUMOUR_ABBREVIATIONS})(?!\w))"
)
EXCLUDED = re.compile(
    _EXCLUSION_LEAD
    + r"|\b(?:wurde |konnte |ist )?ausgeschl(?:\.|ossen(?:e[srnm]?)?)(?: werden)?(?!\w)|\bnicht (?:nachweisbar|nachgewiesen|bestätigt)\b",
    _I,
)
_SUSPECTED = re.compile(
    r"(?:\b(?:dringende[rnm]? |hochgradige[rnm]? |starke[rnm]? |klinische[rnm]? |radiologische[rnm]? ))?(?:(?<!\w)V\. ?a\.?(?!\w)|(?<!\w)Va\.(?!\w)|(?<!\w)VD ?:|\bVerdacht(?:sdiagnose)?\b(?: ?:| auf| a\.)?(?: eine?n?)?(?!\w)|\bVerd\. ?(?:auf|a\.)|"
    r"\b(?:susp\.|suspekt(?:e[rsnm]?)?|verdächtig(?:e[rsnm]?)?)(?: auf| für)?(?!\w)|\b(?:vermutlich|wahrscheinlich|mutmaßlich|möglicherweise)(?:e[rsnm]?)?\b|"
    r"\b(?:DD|Differen[tz]ialdiagnose)\b ?:?|\bam ehesten\b(?: ein)?|\ba\. ?e\. |\b(?:passend zu|vereinbar mit)\b(?: eine[rm])?|\bnicht gesichert(?:e[rsnm]?)?\b|"
    r"(?<!mit )\bfragl(?:ich(?:e[rsnm]?)?\b|\.)(?! Stroma)|\?+)",
    _I,
)
_SUSPICION_IN_WORD = re.compile(
    r"(?:karzinom|tumor|malignom|lymphom|metastasen|melanom)-?(?:verdacht|verdächtig|suspekt)", _I
)
_FORMER = re.compile(
    r"(?<!\w)Z\. ?n\.?(?!\w)|(?<!\w)Zn\.?(?= )|\bZust(?:and|\.) ?n(?:ach|\.)(?!\w)|(?<!\w)St\. ?p\.|\bStatus post\b|\banamn(?:estisch(?:e[rsnm]?)?\b|\.)|\behemal(?:s|ige[rsnm]?|\.)|\bfrühere[rsnm]?\b|"
    r"\bstattgehabte[rsnm]?\b|\bin der (?:Vorgeschichte|Anamnese)\b|\bi\. ?d\. ?(?:Vorgeschichte|Anamnese)\b|\bVorgeschichte\b(?: von| mit)?|\bEigenanamnese\b ?:?",
    _I,
)
_MARK = re.compile(r"[\[(] ?([AVZG]) ?[\])](?=[\s,.;]*$)")
MARK_MEANS: dict[str, Certainty] = {
    "A": "ausgeschlossen",
    "V": "Verdacht",
    "Z": "Zustand nach",
    "G": "gesichert",
}
_SECURED = re.compile(
    r"\b(?:histologisch |zytologisch |bioptisch )?gesichert(?:e[rsnm]?)?\b|(?<!ohne )\b(?:bekannte[rsnm]?|bek\.)(?= )",
    _I,
)
_RELATIVE = r"(?:Mutter|Vater|Schwester|Bruder|Tante|Onkel|Großmutter|Großvater|Grossmutter|Grossvater|Oma|Opa|Tochter|Sohn|Cousine|Cousin|Geschwister|Eltern|Verwandte[rn]?|Angehörige[rn]?)"
_FAMILY = re.compile(
    r"(?i:\b(?:positive |pos\. |auffällige )?Familienanamnese\b(?: (?:positiv|auffällig|bzgl\.|für|mit))?(?: ?:)?(?: für)?|\bFA ?(?:positiv|pos\.|:)(?: für)?|\bfamiliäre (?:Belastung|Vorbelastung|Häufung|Disposition)\b(?: mit| für| von)?|\bin der Familie\b)"
    rf"|(?<!Papilla )(?<!Ampulla )(?<!Papille )(?<!Ampulle )\b(?:[Bb]ei (?:der |dem )?)?{_RELATIVE}(?![\w-])(?: (?:der|des) Patient(?:in|en))?(?: (?:mit|hatte|hat|an|litt an|verstorben an|verstarb an))?(?: (?:ein|eine|einen))?(?!\w)"
)

# Words that start a new statement inside a line, where a diagnosis stands before them.
STATEMENT = re.compile(
    _EXCLUSION_LEAD
    + r"|(?<!\w)V\. ?a\.?(?!\w)|\bVerdacht auf\b|\b(?:DD|Differen[tz]ialdiagnose)\b"
    + r"|(?<!\w)Z\. ?n\.?(?!\w)|\bZustand nach\b|(?<!\w)St\. ?p\.",
    _I,
)
FAMILY_STATEMENT = _FAMILY
EXCLUSION_START = re.compile(rf"[\s,]{{0,4}}(?:{_EXCLUSION_LEAD})", _I)

_LEFT = r"(?:links(?:seitig(?:e[rsnm]?)?)?|linke[rsnm]?|li(?:\.|\b)|lks\.?|lt\.|sin(?:\.|istr[aio]\w?\b))"
_RIGHT = r"(?:rechts(?:seitig(?:e[rsnm]?)?)?|rechte[rsnm]?|re(?:\.|\b)|rts\.?|dext?(?:\.|r[aio]\w?\b))"
_BOTH = r"(?:beid(?:er)?seit(?:s|ig(?:e[rsnm]?)?)|beid(?:e[rn]?)?s\.|bds(?:\.|\b)|bilateral(?:e[rsnm]?)?|ambilateral)"
_SIDE = re.compile(
    rf"(?<![\w-])(?:(?P<both>{_BOTH}|{_LEFT} ?(?:und|u\.|/|\+|sowie) ?{_RIGHT}|{_RIGHT} ?(?:und|u\.|/|\+|sowie) ?{_LEFT})|(?P<left>{_LEFT})|(?P<right>{_RIGHT})"
    r"|(?:Seite|Seitenlokalisation) ?:? ?(?:(?P<l1>[Ll](?:inks)?)|(?P<r1>[Rr](?:echts)?)|(?P<b1>[Bb]))"
    r"|\((?-i:(?P<l2>L)|(?P<r2>R)|(?P<b2>B))\))(?![\w-])",
    _I,
)
_LAST_LETTER = re.compile(r"(?<=[a-zäöü.] )(?:(?P<left>L)|(?P<right>R))(?=\s*(?:$|[,;]))")
# Here the side names the place: right colon is another code than left colon.
_SIDE_DECIDES = re.compile(r"kolon|colon|flexur|dickdarm|leberlappen|leber, ", _I)


# What may come of a tumour that is named before, up to the end of its clause.
_OF_IT = re.compile(
    r" ?(?:[\w-]{1,30} ){0,3}[\w-]{0,20}(?:rezidiv|metasta|filia|progress|resttumor|restbefund|befall|infiltrat|invasion|absiedl|dysplasie|neoplasie|malignität|raumforderung|rundherd|polyp"
    r"|entartung|transformation)[^,;.\n]{0,80}",
    _I,
)


def find_certainty(text: str) -> tuple[Certainty, list[Span]]:
    """The certainty that a phrase states, and the words that state it. An exclusion outweighs a past
    tumour, a past tumour a suspicion."""
    mark = None
    spans: list[Span] = []
    if "(" in text or "[" in text:
        for match in _MARK.finditer(text):
            mark = MARK_MEANS[match.group(1).upper()]
            spans.append(match.span())
    spans += [
        m.span()
        for m in _SECURED.finditer(text)
        if text[max(0, m.start() - 6) : m.start()].lower() != "nicht "
    ]
    excluded = []
    tumours = Mentions(TUMOUR.finditer(text))
    for m in EXCLUDED.finditer(text):
        # "Sigmakarzinom, kein Rezidiv": the tumour is there, what could have come of it is not.
        of_it = _OF_IT.match(text, m.end()) if tumours.between(0, m.start()) else None
        if of_it is None:
            excluded.append(m.span())
        else:
            spans.append((m.start(), of_it.end()))
    suspected = [m.span() for m in _SUSPECTED.finditer(text)]
    former = [m.span() for m in _FORMER.finditer(text)]
    spans += excluded + suspected + former
    certainty: Certainty = "gesichert"
    if excluded or mark == "ausgeschlossen":
        certainty = "ausgeschlossen"
    elif suspected or mark == "Verdacht" or _SUSPICION_IN_WORD.search(text):
        certainty = "Verdacht"
    elif former or mark == "Zustand nach":
        certainty = "Zustand nach"
    return certainty, spans


def find_family(text: str) -> list[Span]:
    """The words that say that a phrase speaks of a relative."""
    return [m.span() for m in _FAMILY.finditer(text)]


def find_side(text: str) -> tuple[Side | None, list[Span]]:
    """The side that a phrase states (the first one; both together are `beidseits`) and its words."""
    side: Side | None = None
    spans: list[Span] = []
    for pattern in (_SIDE, _LAST_LETTER):
        for match in pattern.finditer(text):
            name = (match.lastgroup or "")[0]
            # "Li-Fraumeni" has a hyphen; "Re" and "Li" as names have a capital and no point.
            if match.group() in ("Li", "Re"):
                continue
            spans.append(match.span())
            if side is None:
                side = "beidseits" if name == "b" else "links" if name == "l" else "rechts"
    return side, spans


def organs_of(text: str) -> frozenset[int]:
    """The organs that a phrase names, as numbers; two phrases without a common one speak of two places."""
    return frozenset(number for number, words in enumerate(_ORGANS) if words.search(text))


def side_decides(text: str) -> bool:
    """Whether the side is part of the place in this phrase, so that it has to stay in `core`."""
    return _SIDE_DECIDES.search(text) is not None


def names_tumour(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether a stretch names a tumour, by a word or an abbreviation."""
    return TUMOUR.search(text, start, len(text) if end is None else end) is not None


def names_definite_tumour(text: str) -> bool:
    """Like `names_tumour`, but "Tumor", "Polyp" or "Raumforderung" alone do not count."""
    return TUMOUR.search(without_generic(text)) is not None


def without_generic(text: str) -> str:
    """The text with "Tumor", "Polyp", "Raumforderung" blanked, as long as before."""
    return _GENERIC.sub(lambda match: " " * len(match.group()), text)


def names_primary_first(text: str) -> bool:
    """Whether a tumour is named before the first metastasis: "Sigmakarzinom, Lebermetastasen"."""
    found = METASTASIS.search(text)
    if found is None:
        return False
    before = text[: text.rfind(" ", 0, found.start()) + 1]
    return names_definite_tumour(before) or METASTATIC.search(before) is not None
