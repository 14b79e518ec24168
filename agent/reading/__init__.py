"""Reading whole documents: which tumours a patient has, and what is said of each.

labels    what the reader tells of pieces and sentences
pieces    a text in pieces, with what is known of their words
network   the networks that label them: our own, or a language model's layers
tagger    a network with its tokenizer
mentions  from labels to what is named where
calibration  how sure it is that a tumour is the patient's, and its code right
organs    which organs they name
layout    which lines they stand on, and which sides they name
tumours   from mentions to tumours, each with the phrase that names it
spread    regional lymph nodes, and the short names of metastases in a formula
weights/  the reader that ships
answer    the answer to one tumour, from those to its phrases
united    a tumour that is told twice is one
entries   a document of one statement
graph     the way of a document: label, assemble, code, explain
results   the answer
editions  the answer in the codes of its year
"""
