"""Codes and catalogue lines: read from files, kept for the user, put together.

Catalogue.load().title(CodeSystem.ICD10GM, "C34.1")     # catalogue.catalogue: start reading there

catalogue.py   editions put together: what exists, which line is a duplicate or outdated
layouts/       one parser per family of catalogue files
store.py       what the user added, in ONKOKODE_HOME
commands.py    `onkokode catalogue`
lexicon.py     the built-in lexicon (lexicon/: 19,000 lines of our own wording)
years.py       codes of ICD-10-GM by the year of diagnosis (years.tsv)
crosswalk.py   which ICD-10-GM code a topography and a morphology make
overrides.py   where the alphabet decides otherwise (overrides.tsv)
"""
