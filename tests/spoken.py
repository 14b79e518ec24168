"""Which of the two languages a line of a command has words of.

spoken_in("in.csv: 12 Zeilen, 3 rows")      # {"de", "en"}
"""

from __future__ import annotations

import re

# Words that one of the two languages has alone, and that these commands may say.
_WORDS = {
    "en": "the a of is are were row rows line lines first from with and or not no already before left header named "
    "column columns separator sheet read coded open tumour without texts note warning error for file files date "
    "diagnosis site above only stands passed over names nearest failed true false none there such check "
    "path it its than has have holds as at this that which cannot give save again damaged missing folder would "
    "written refused more see to by be on same run wait needs brings another",
    "de": "der die das den dem ein eine einen einem ist sind wird werden wurde wurden waren nicht kein keine keines keinen "
    "und oder zeile zeilen zuerst von aus mit ohne noch schon kopfzeile spalte spalten trennzeichen blatt kodiert offen "
    "hinweis warnung fehler für datei dateien diagnose sitz steht stehen über nur übergangen bitte vorhanden nennen "
    "unlesbare sicherheit seite prüfungen bestanden katalogzeilen alternativen weitere kodierung nächsten schritte "
    "tumordiagnose nein ja als auf zu zum es gibt beschädigt fehlt ordner schreiben lesen größer hat haben davon siehe "
    "abgelehnt geschrieben gefüllt auch sonst denselben",
}
_SETS = {spoken: set(words.split()) for spoken, words in _WORDS.items()}


def spoken_in(line: str) -> set[str]:
    """The languages that a line has words of; what it quotes, and names of files and columns, are nobody's."""
    plain = re.sub(
        r"`[^`]*`|“[^”]*”|„[^“]*“|'[^']*'|\S*[/.]\S+|\bonkokode\w*|\b\w+_\w+\b|--[\w-]+|\bpip install\b",
        " ",
        line,
    )
    words = set(re.findall(r"[^\W\d_]+", plain.lower()))
    return {spoken for spoken, known in _SETS.items() if words & known}
