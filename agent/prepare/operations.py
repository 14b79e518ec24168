"""The organ that an operation tells, where the tumour's name tells none: "Z.n. Mastektomie bei Ca", "Rezidiv n. RPE".

with_organ(words, "Z.n. Ablatio mammae li. bei Ca", offset=0)       # ... Karzinom, Mamma
"""

from __future__ import annotations

import re

from agent.prepare import context
from agent.prepare.tidy import Word, render

_OPERATIONS = tuple(
    (re.compile(pattern, re.I), organ)
    for pattern, organ in (
        (r"mastektom|ablatio mammae|lumpekt|quadrantekt|(?-i:\bBET\b)", "Mamma"),
        (r"prostatekt|(?-i:\b(?:RA)?RPE\b|\bRRP\b|\bTUR-?P\b)", "Prostata"),
        (r"(?<!neben)nephrekt|nierenteilres", "Niere"),
        (r"(?<!chole)(?<!choleze)[cz]ystekt|(?-i:\bTUR-?BT?\b)", "Harnblase"),
        (r"hysterekt", "Uterus"),
        (r"thyreoidekt|strumekt|strumares", "Schilddrüse"),
        (r"gastrekt|magenres", "Magen"),
        (r"ösophag(?:us)?(?:ekt|res)", "Ösophagus"),
        (r"hemikolekt|kolekt|kolonres", "Kolon"),
        (r"sigmares", "Sigma"),
        (r"rektumres|rektumexst|(?-i:\bTME\b)", "Rektum"),
        (r"(?<!thyreoid)lobekt|pneumonekt", "Lunge"),
        (r"laryngekt", "Larynx"),
        (r"pankreatekt|pankreasres|whipple|(?-i:\bPPPD\b)", "Pankreas"),
        (r"orchiekt|ablatio testis|semikastr", "Hoden"),
        (r"adnexekt|ovar(?:i)?ekt", "Ovar"),
        (r"penekt|penisteil", "Penis"),
        (r"vulvekt", "Vulva"),
        (r"parotidekt", "Parotis"),
        (r"adrenalekt", "Nebenniere"),
        (r"konisat", "Zervix"),
    )
)
# Names that tell a tissue and no organ.
_OF_ANY_ORGAN = re.compile(
    r"karzinom|tumor|rezidiv|malignom|neubildung|adenom\b|papillom|krebs|carcinoma", re.I
)
_WORD = re.compile(r"[A-ZÄÖÜ][\w-]{3,30}")
_EXAMINATION = re.compile(
    r"konferenz|konsil|board|biops|skopie|stanze|resektion|befund|bericht|kontroll", re.I
)


def with_organ(words: list[Word], text: str, offset: int, led: int = 0) -> list[Word]:
    """The words of a statement, with the organ of the operation that `text` (the whole statement, which starts at
    `offset`) names, where the words name a tumour of any organ and no place. The first `led` characters lead to the
    tumour; a place among them ("TUR-B Blasenhals: Papillom") comes before the operation's organ."""
    core = render(words)
    if (
        _OF_ANY_ORGAN.search(core) is None
        or context.TOPOGRAPHY.search(core)
        or context.METASTASIS.search(core)
    ):
        return words
    for place in _WORD.finditer(text, 0, led):
        name = place.group()
        if context.TOPOGRAPHY.search(name) and not _EXAMINATION.search(name):
            start, end = offset + place.start(), offset + place.end()
            words = [*words, Word(",", start, end, False, True), Word(name, start, end, True)]
            if context.organs_of(name):
                return words
            break
    for pattern, organ in _OPERATIONS:
        match = pattern.search(text)
        if match is not None:
            if context.organs_of(core) and not context.organs_of(core) <= context.organs_of(organ):
                return words
            start, end = offset + match.start(), offset + match.end()
            return [*words, Word(",", start, end, False, True), Word(organ, start, end, True)]
    return words
