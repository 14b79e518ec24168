"""Whole patients' documents composed from records, with what is true of each by construction.

    onkokode train documents --count 20000 --out runs/documents.jsonl

skeletons  the sentences, lines and frames that authors wrote, with slots: `voices/*.tsv` (AUTHORS.md says how)
demands    what a sentence's fixed words say of the patient: a sex, a tumour
records    a patient drawn before anything is written: tumours, their facts, and what is not there
library    the voices' rows by what they say
wording    slots become words, and it is noted where each stands
writer     sentences are written into a document, and it is noted what they say of whom
compose    frames, sentences and whole documents of one author become documents with their gold
annotated  documents whose words authors marked by hand: `annotated/*.txt`
stretches  what recognition learns from them: stretches with whether they name a tumour, and clauses
commands   `onkokode train voices`, `documents`, `reader`
reader     the training of the network that reads such documents (`agent.reading`)
calibration  how sure tumours and codes are, fitted on documents held out
"""
