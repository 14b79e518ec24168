"""From what retrieval and the language model say to codes with confidence, or an abstention with its reason.

recognise   tumour or not; ngrams  the n-grams that it weighs
scores      what retrieval and model say per axis; fuse  both as one calibrated distribution
facts       what speaks for or against codes although no model reads it
reconcile   the axes decided jointly; metastasis  the histology of a metastasis is its primary's
checks      the codes against each other and the catalogue; confidence  how sure the chosen one is
explain     the answer with its evidence; editions  in the codes of the year of diagnosis
records     what all these hand on to each other
"""
