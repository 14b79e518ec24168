"""Catalogues in, candidates out: the lowest of the four layers, it imports none of the others.

catalogue = Catalogue.load()                                    # index.catalogue.catalogue
retriever = Retriever(Index.build(catalogue, encoder), encoder) # index.search
retriever.retrieve(["Mamma-Ca"], CodeSystem.ICD10GM)[0][0].code # 'C50.9'

records.py     what all modules speak in: code systems, codes, lines, candidates
icd.py         facts of the classifications themselves
errors.py      errors that a user can act on
dates.py       dates as people write them
text.py        the form in which texts are compared for equality
tables.py      codes, lines and rules as Parquet, every cell checked
xml.py         the one XML parser: no entity, no foreign file, any size
catalogue/     files of BfArM and of registries become codes and lines; the built-in lexicon
search/        the encoder, the index, candidates per code
io/            files written whole, folders with a manifest, errors in one line
"""
