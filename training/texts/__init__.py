"""Clinical texts with known codes, composed from hand-written tables, and the noise of somebody's typing.

for made in compose(rules, seed=1, count=3):
    perturb(made.text, rng), made.icd10, made.topography, made.morphology

compose       draws site, morphology and kind, and puts a text together from the parts below
tables        the tables of tables/*.tsv: sites, morphologies, diagnoses, phrases
streams       the texts without repeats, and as a file
coding        codes that the words decide, beside crosswalk and overrides
phrasing      a site and a tumour name as one phrase
surroundings  prefix, stage and therapy around it, free of contradictions; wrappers  what these are made of
notes         a whole note around a diagnosis, and texts that are no diagnosis of a tumour
noise         abbreviations, spellings, slips of the finger
"""
