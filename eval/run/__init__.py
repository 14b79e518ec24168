"""Variants on test sets; each run leaves OUT/<test set>/<variant>/, which can be scored without any model.

variants     the arms, as YAML; models  which models they run on; answerers  how each answers a row
testsets     test sets by name or file; traps  texts with one trap each
run          the rows of a set, chunk by chunk
folder       what a run's files hold, read, and written so that a kill loses one chunk
compare      runs read from their folders, and what they cost
documents    what the reader finds in whole documents
robustness   whether harmless clauses, lists, line breaks and capitals move a code
environment  when, on what and with what was measured
long_run     a large file through `code-file`, killed twice
commands     `onkokode eval run`, `ls`, `validate`
"""
