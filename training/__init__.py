"""From catalogue files to weights. The recipe is `recipe.py`, read from top to bottom: each step is a function.

onkokode train all --catalogues ../shared/catalogues --out runs/models

recipe    the steps in their order; plan  the sizes of a run
split     the study's held-out lines, kept out of everything; leak  near-duplicates and users' test sets too
corpus    the training texts, of which texts/ composes and distorts many
documents/ whole documents with their gold, and the reader that learns from them
compact/  the encoder and the language model that ship, from scratch
adapters/ LoRA adapters for them and for any open-weight model: pairs, training, measuring
tuning/   any sentence encoder on catalogue lines
fit       fusion, calibration and thresholds of the decision
publish   the result into the package, with the cards of cards/
studies/  what the lab notes report, and the audit of the catalogues
runs      the folder of a run, and how a stopped one goes on
commands  `onkokode train …`
"""
