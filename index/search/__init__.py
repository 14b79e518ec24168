"""Which codes a text is near to: by meaning, by letters, by what is typed.

Retriever(index, encoder).retrieve(["Mamma-Ca"], CodeSystem.ICD10GM, k=20)

encoder.py      texts to unit vectors, one space per axis; prototypes of codes (weights/)
static.py       the embedded one, computed without torch
index.py        lines with their vectors, in memory and as a folder
retriever.py    candidates per code, with their share and their lines
lexical.py      BM25 over four-grams, for what the encoder misses
code_search.py  codes found while somebody types
"""
