"""Any sentence encoder, or a static one from scratch, tuned on catalogue lines with sentence-transformers.

onkokode train encoder --catalogues ../shared/catalogues --out runs/e5 --model intfloat/multilingual-e5-base

encoder      a whole run: losses, epochs, the best one kept
query_pairs  what it learns from: queries, lines of their code, near lines of other codes, batches
"""
