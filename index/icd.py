"""What ICD-10-GM and ICD-O-3 say by the form of their codes: behaviour, blood, metastases, chapters.

    behaviour_fits("D05.1", "8500/2"), is_haematological_code("C83.3"), same_code("C50.9", "C50.4")   # all True

An ICD-10-GM code is written `C50.4`, a morphology as histology and behaviour, `8500/3`.
"""

from __future__ import annotations

# The groups of chapter II in which figures are reported: name, first and last category.
CHAPTER_GROUPS = (
    ("C00-C14 lip, oral cavity, pharynx", "C00", "C14"), ("C15-C26 digestive organs", "C15", "C26"),
    ("C30-C39 thorax", "C30", "C39"), ("C40-C49 bone, skin, soft tissue", "C40", "C49"), ("C50 breast", "C50", "C50"),
    ("C51-C58 female genital organs", "C51", "C58"), ("C60-C63 male genital organs", "C60", "C63"),
    ("C64-C68 urinary tract", "C64", "C68"), ("C69-C75 eye, brain, endocrine glands", "C69", "C75"),
    ("C76-C80 secondary, unspecified", "C76", "C80"), ("C81-C96 lymphoid, blood-forming", "C81", "C97"),
    ("D00-D09 in situ", "D00", "D09"), ("D10-D36 benign", "D10", "D36"), ("D37-D48 uncertain behaviour", "D37", "D48"),
)  # fmt: skip

# The tumour codes that ICD-10-GM allows beside a primary code only (printed with an exclamation mark).
ADDITIONAL_CODES = frozenset({"C94.8", "C95.8", "C97"})
_HAEMATOLOGICAL = {f"C{n}" for n in (81, 82, 83, 84, 85, 86, 88, *range(90, 97))} | {"D45", "D46"}
_HAEMATOLOGICAL_CODES = {f"D47.{n}" for n in (0, 1, 2, 3, 4, 5, 7, 9)}
# Metastasis and carcinoma metastasis, not otherwise specified.
UNSPECIFIC_METASTASES = ("8000/6", "8010/6")
# The general metastasis of a family of histologies: first and last of its numbers.
_FAMILIES = (
    (8050, 8084, "8070/6"), (8140, 8389, "8140/6"), (8440, 8576, "8140/6"), (8010, 8589, "8010/6"),
    (8720, 8790, "8720/6"), (8800, 9136, "8800/6"),
)  # fmt: skip


def chapter_behaviours(icd10: str) -> str:
    """The behaviour digits that go with a code's part of chapter II: `369` for C, `2`, `0` or `1` for D00 to D48."""
    if icd10.startswith("C"):
        return "369"
    category = int(icd10[1:3])
    return "2" if category <= 9 else "0" if category <= 36 else "1"


def behaviour_fits(icd10: str, morphology: str) -> bool:
    """Whether the chapter and the digit after the slash agree. Of lymphomas and leukaemias they need not: ICD-10
    codes some /1 entities (LCH) under C and some /3 (MDS) under D."""
    return is_haematological(morphology) or morphology.rpartition("/")[2] in tuple(chapter_behaviours(icd10))


def is_in_situ(code: str) -> bool:
    """Whether a code of either classification is that of an in-situ tumour (D00 to D09; behaviour /2)."""
    return code.startswith("D0") or code.endswith("/2")


def is_secondary(icd10: str) -> bool:
    """Codes of metastases, C77 to C79."""
    return icd10[:3] in ("C77", "C78", "C79")


def is_haematological_code(icd10: str) -> bool:
    """ICD-10 codes of lymphoma, leukaemia and what is related to them."""
    return icd10[:3] in _HAEMATOLOGICAL or icd10 in _HAEMATOLOGICAL_CODES


def is_haematological(morphology: str) -> bool:
    """Lymphoma, leukaemia, plasma cell, histiocytic and myeloid neoplasms: histology 9590 and above."""
    return morphology[:4] >= "9590"


def metastases_of(morphology: str) -> tuple[str, ...]:
    """How a metastasis of a malignant primary may be coded, the most precise first; none for another behaviour."""
    if not morphology.endswith("/3"):
        return ()
    number = int(morphology[:4])
    return (f"{number}/6", *(code for first, last, code in _FAMILIES if first <= number <= last))


# Names of tissue that say no more than their family: first and last of its numbers.
_UNSPECIFIC = {
    "8000": ((8000, 9999),), "8010": ((8010, 8589),), "8140": ((8140, 8389), (8440, 8576)), "9590": ((9590, 9729),),
}  # fmt: skip


def leaves_open(general: str | None, morphology: str | None) -> bool:
    """Whether a morphology is `general`, or one that it leaves open: `8140/3` leaves `8480/3` open and `8070/3` not.
    None leaves everything open."""
    if general is None or general == morphology:
        return True
    return morphology is not None and any(
        first <= int(morphology[:4]) <= last for first, last in _UNSPECIFIC.get(general[:4], ())
    )


def same_code(icd10: str, expected: str) -> bool:
    """Equal, one of both the unspecified code of their category, or `expected` the beginning of `icd10`."""
    if icd10 == expected:
        return True
    return icd10[:3] == expected[:3] and (
        expected.endswith(".9") or icd10.endswith(".9") or icd10.startswith(expected)
    )
