"""What a clinic writes around one diagnosis, free of contradictions: prefix, formula, stage, therapy, letter.

wrapped(rng, "Adenokarzinom des Sigmas", "n", "C18.7", "8140/3")
# 'V.a. Adenokarzinom des Sigmas, cT3 cN+ cM0'
"""

from __future__ import annotations

import random
import re

from training.texts import wrappers
from training.texts.tables import PHRASES
from training.texts.wrappers import one

_GRADED_ALREADY = re.compile(
    r"differenz|\bdiff|grad|\bG ?[1-4]|anaplast|mikroinv|frühinv|minimal|siegelring|\bNET|\bNEC",
    re.IGNORECASE,
)
_TELEGRAM = re.compile(r", | [-/=;] |; ")
# what a phrase tells by itself, so that no remark repeats or denies it
_TOLD = re.compile(
    r"(?P<remission>\bCR\b|[Rr]emission)|(?P<spread>[Mm]etast|[Ff]ilia|extensive)"
    r"|(?P<staged>\bp?T(?:is|a|\d)|[Ss]tadium|\bSt(?:d|ad)?\. |Masaoka)"
)
_DOUBTED = re.compile(r"(?:dringender )?V\. ?a|Va |Verdacht|DD|fragl|am ehesten|\w+: V\.a")
_EXCISED = ("C0", "C44", "C49", "C50", "C51", "C60", "C77")
_SMALL_IF_BENIGN = ("C0", "C10", "C11", "C12", "C13", "C14", "C30", "C32", "C51", "C52", "C53", "C60", "C67", "C68",
                    "C21")  # fmt: skip
_SMALL = ("C44", "C69", "C32.0", "C75", "C00")
_WITHOUT_TNM = ("C26", "C38.0", "C39", "C42", "C70", "C71", "C72", "C75", "C76", "C77", "C80", "C55", "C57.7",
                "C57.9", "C63.8", "C63.9", "C68.9", "C14", "C74.1", "C74.9")  # fmt: skip
# tumours whose name says that they are minute, whatever a formula would say
_MINUTE = (8076, 8256, 8341)
# changes of the epithelium, which have no size and no TNM
_FLAT = (8071, 8077, 8148, 8380, 8441)
_WITHOUT_SIZE = ("C42", "C77", "C80")
_JOINTS = (", ", ", ", " ", " ", "; ", " - ", "\n", ". ", ",")


def wrapped(rng: random.Random, core: str, gender: str | None, topography: str, morphology: str) -> str:
    """The phrase with adjective, recurrence or prefix in front and up to three remarks behind, or as the
    diagnosis block of a letter. `morphology` may carry another behaviour than the label's, where the text
    is to be dressed as a benign one."""
    around = _Surroundings(rng, core, topography, morphology)
    if core.count("\n") == 0 and around.behaviour in "36" and rng.random() < 0.05:
        return around.letter()
    draw = rng.random()
    if draw < 0.15 and gender and (adjective := around.adjective()):
        around.text = f"{wrappers.inflect(adjective, gender)} {core}"
    elif draw < 0.2 and gender and around.behaviour in "36":
        around.text = f"{one(rng, around.recurrences())} {wrappers.genitive(core, gender)}"
    elif draw < 0.42:
        around.text = around.prefixed(gender)
    draw = rng.random()
    for _ in range(0 if draw < 0.4 else 1 if draw < 0.75 else 2 if draw < 0.93 else 3):
        if remark := around.remark():
            joint = one(rng, _JOINTS)
            around.text += f"{joint.lstrip('.') if around.text.endswith('.') else joint}{remark}"
    text = around.text
    # typists begin with a capital or do not
    if text[0].islower() and text[1:2].islower() and rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return text


def has_formula(topography: str, histology: int, behaviour: str) -> bool:
    """Whether a tumour has a TNM formula."""
    solid = 8000 <= histology <= 9349 and not 9140 <= histology <= 9149
    return (
        behaviour in "23"
        and (solid or histology == 9364)
        and not (behaviour == "2" and histology in _FLAT)
        and histology not in _MINUTE
        and not is_nervous(topography, histology)
        and not topography.startswith(_WITHOUT_TNM)
    )


def has_grade(topography: str, histology: int, text: str = "") -> bool:
    """Whether a grade may be written beside a tumour: that of a neuroendocrine one is its morphology, and melanomas,
    basal cell carcinomas, thyroid and prostate have none. `text` may say one already."""
    return (
        8010 <= histology < 8720
        and not any(low <= histology <= high for low, high in ((8090, 8099), (8150, 8159), (8240, 8249)))
        and not is_nervous(topography, histology)
        and not topography.startswith(("C61", "C73"))
        and _GRADED_ALREADY.search(text) is None
    )


def is_nervous(topography: str, histology: int) -> bool:
    """Whether a tumour is one of the nervous system, which neither has TNM nor spreads."""
    return 9350 <= histology <= 9539 or topography.startswith(("C70", "C71", "C72"))


class _Surroundings:
    """What is said around one diagnosis, kept free of contradictions: one formula, one stage that fits it,
    metastases only where neither denies them."""

    __slots__ = ("behaviour", "histology", "metastatic", "rng", "said", "stage", "text", "topography")

    def __init__(self, rng: random.Random, text: str, topography: str, morphology: str) -> None:
        self.rng, self.text, self.topography = rng, text, topography
        self.histology, self.behaviour = int(morphology[:4]), morphology[5]
        self.said: set[str] = set()
        self.metastatic: bool | None = None
        self.stage: str | None = None
        for told in _TOLD.finditer(text):
            if told.lastgroup == "remission":
                self.said.add("therapy")
            elif told.lastgroup == "spread" and self.behaviour == "3":
                self.metastatic = True
            elif told.lastgroup == "staged":
                self.said |= {"tnm", "stage", "size"}

    @property
    def haematological(self) -> bool:
        return self.histology >= 9590

    @property
    def nervous(self) -> bool:
        return is_nervous(self.topography, self.histology)

    @property
    def small(self) -> bool:
        """Whether the lesion is measured in millimetres: on skin and eye, and what is benign in throat and larynx."""
        return self.topography.startswith(_SMALL) or (
            self.behaviour in "012" and self.topography.startswith(_SMALL_IF_BENIGN)
        )

    @property
    def local(self) -> bool:
        """Whether the tumour grows where it is and does not spread."""
        return 8090 <= self.histology <= 8099 or self.nervous

    def _fits(self, phrase: str) -> bool:
        """No liver metastases of the liver, and no melanoma of the skin with its axilla in the liver."""
        return not any(
            part in (phrase if part.isupper() else phrase.lower())
            for part, site in wrappers.SAME_ORGAN
            if self.topography.startswith(site)
        )

    def adjective(self) -> str | None:
        rng = self.rng
        if self.haematological:
            return one(rng, PHRASES["haematology adjectives"])
        if self.behaviour != "3":
            return one(rng, PHRASES["benign adjectives"]) if self.behaviour != "6" else None
        if self.topography.startswith("C80"):
            return one(rng, PHRASES["unknown primary adjectives"])
        if self.local:
            return one(rng, PHRASES["local adjectives"])
        if self.topography.startswith("C44"):
            return one(rng, PHRASES["skin adjectives"])
        adjective = one(rng, PHRASES["malignant adjectives"])
        if "metast" in adjective:
            if self.metastatic or not self._fits(adjective):
                return None
            self.metastatic = True
        if adjective == "R0-reseziert":
            self.said |= {"therapy"}
        return adjective

    def recurrences(self) -> tuple[str, ...]:
        if self.behaviour == "6":
            return PHRASES["metastasis recurrences"]
        if self.haematological or self.topography.startswith(("C80", "C42")):
            return PHRASES["diffuse recurrences"]
        if not self.topography.startswith(_EXCISED):
            return tuple(word for word in PHRASES["recurrences"] if word != "Exzision")
        return PHRASES["recurrences"]

    def prefixed(self, gender: str | None) -> str:
        rng, core = self.rng, self.text
        draw = rng.random()
        # behind "bei" or "Z.n." a telegram with the site in front would not be read as one diagnosis
        if draw < 0.4 or (":" in core or "\n" in core) or (gender is None and _TELEGRAM.search(core)):
            return one(rng, PHRASES["headers"]) + core
        malignant = draw < 0.47 and self.behaviour == "3"
        prefix, case = one(rng, wrappers.MALIGNANT_PREFIXES if malignant else wrappers.PREFIXES)
        if prefix == "Z.n. Exzision " and (self.haematological or not self.topography.startswith(_EXCISED)):
            prefix, case = "Z.n. ", "d"
        if self.behaviour == "6" and prefix in ("Primärtumor: ", "Rezidiv bei "):
            prefix, case = "Progress bei ", "d"
        return prefix + (wrappers.governed(core, gender, case) if gender else core)

    def tnm(self) -> str | None:
        """A formula that agrees with what was said; none where the classification has none."""
        histology = self.histology
        if "tnm" in self.said or "stage" in self.said:
            return None
        if not has_formula(self.topography, histology, self.behaviour):
            return None
        self.said.add("tnm")
        if histology == 8130 and self.behaviour == "2":
            return one(self.rng, ("pTa", "pTa low grade", "pTa G1", "cTa"))
        if self.local:
            self.said.add("stage")
        graded = has_grade(self.topography, histology, self.text)
        formula = wrappers.tnm(self.rng, self.behaviour, graded, self.metastatic, self.local)
        self.metastatic, self.stage = formula.metastatic, formula.stage
        return formula.text

    def remark(self) -> str | None:
        """A remark on something that the text has not said yet, or None."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.2:
            return self._new("date", wrappers.fill(rng, one(rng, PHRASES["dates"])))
        if draw < 0.27:
            doubted = _DOUBTED.match(self.text)
            return None if doubted else self._new("certainty", one(rng, PHRASES["certainty"]))
        if self.haematological:
            return self._therapy(
                PHRASES["lymphoma remarks" if self.histology < 9730 else "leukaemia remarks"]
            )
        if draw < 0.43 and (formula := self.tnm()):
            return formula
        markers = wrappers.markers(rng, self.topography, self.histology) if draw < 0.58 else None
        if markers and self.behaviour == "3":
            return self._new("markers", markers)
        sized = (
            not self.topography.startswith(_WITHOUT_SIZE)
            and self.histology not in _MINUTE
            and not (self.behaviour == "2" and self.histology in _FLAT)
        )
        if draw < 0.68 and sized:
            return self._new("size", wrappers.size(rng, self.small))
        if draw < 0.72 and self.behaviour == "3" and (beside := self._beside()):
            return self._new("beside", beside)
        if self.nervous:
            return self._therapy(PHRASES["nervous therapies"])
        if self.behaviour == "3" and not self.local:
            if draw < 0.79:
                return self._stage()
            if draw < 0.87:
                return self._metastases()
        if self.topography.startswith(("C77", "C80", "C42")):
            return self._therapy(PHRASES["nodal therapies"])
        if self.behaviour in "36" and not self.local:
            return self._therapy(PHRASES["therapies"])
        return self._therapy(PHRASES["mild therapies"])

    def _new(self, topic: str, remark: str) -> str | None:
        if topic in self.said:
            return None
        self.said.add(topic)
        return remark

    def _therapy(self, therapies: tuple[str, ...]) -> str | None:
        staged = "tnm" in self.said or self.metastatic is True or "Progress" in self.text
        therapy = wrappers.therapy(self.rng, therapies, staged)
        if therapy == "OP geplant" and re.search(r"ese[ck]t|zision|Z\.n", self.text):
            return None
        if "date" in self.said and therapy.startswith("E"):
            return None
        first, again = ("Erstdiagnose", "ED "), ("ezidiv", "Progress", "refraktär", "Remission")
        for one_side, other in ((first, again), (again, first), (("ezidiv",), ("ezidiv",))):
            if any(w in therapy for w in one_side) and any(w in self.text for w in other):
                return None
        return self._new("therapy", therapy)

    def _beside(self) -> str | None:
        found = [
            phrases
            for site, low, high, phrases in wrappers.BESIDE
            if self.topography.startswith(site) and low <= self.histology <= high
        ]
        return one(self.rng, found[0]) if found else None

    def _stage(self) -> str | None:
        if "stage" in self.said or self.histology in _MINUTE or self.topography.startswith(_WITHOUT_TNM):
            return None
        self.said.add("stage")
        group = "IV" if self.metastatic else self.stage
        remark, metastatic = wrappers.stage(self.rng, self.topography, group)
        if self.metastatic is None:
            self.metastatic = metastatic
        return remark

    def _metastases(self) -> str | None:
        if self.histology in _MINUTE or "metastases" in self.said or self.metastatic is False:
            return None
        remark = one(self.rng, PHRASES["metastases"])
        nodal = re.search("lymph|LK", remark, re.IGNORECASE) is not None
        if not self._fits(remark) or (nodal and self.said & {"tnm", "stage"}):
            return None
        self.said.add("metastases")
        if nodal:
            # no distant metastases, and a formula would have to say the same nodes
            self.said |= {"tnm", "stage"}
        else:
            self.metastatic = True
        return wrappers.fill(self.rng, remark)

    def letter(self) -> str:
        """The block at the head of a discharge letter: diagnosis, stage, therapy, other diagnoses by line."""
        rng = self.rng
        header = "" if ":" in self.text else one(rng, PHRASES["letter headers"])
        lines = [header + self.text[0].upper() + self.text[1:]]
        if self.haematological:
            therapy = wrappers.fill(rng, one(rng, PHRASES["letter haematology therapies"]))
            lines.append(f"Therapie: {therapy}")
        else:
            if formula := self.tnm():
                lines.append(one(rng, ("TNM: ", "Stadium: ", "Tumorstadium: ")) + formula)
            therapies = PHRASES["nervous therapies" if self.nervous else "therapies"]
            if rng.random() < 0.8 and (said := self._therapy(therapies)):
                course = re.search("ezidiv|Progress|Erst|Remission|Nachsorge|folgt|tumor", said)
                header = (
                    "Verlauf: " if course else one(rng, ("Therapie: ", "Bisherige Therapie: ", "Verlauf: "))
                )
                lines.append(header + said)
        if rng.random() < 0.7:
            header = one(rng, ("Nebendiagnosen: ", "ND: ", "Begleiterkrankungen: "))
            lines.append(header + one(rng, PHRASES["secondary diagnoses"]))
        return "\n".join(lines)
