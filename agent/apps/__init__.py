"""What people and programs use the agent through. Each folder is one application with its `commands.py`.

onkokode code "NSCLC rechter Oberlappen"

cli.py          the command `onkokode`: the composition root, which knows all commands by name
options.py      which agent a command loads; outputs tried before the work
models.py       `model`: language models by name: add, list, remove
terminal.py     texts from standard input, counts on standard error
rules.py        `rules`: which rows of the vocabulary speak in a text
render.py       a coded text as a person reads it
wording.py      German words and safe strings that all applications share
shares.py       intervals of shares, and agreement of two readers
spreadsheet.py  CSV for a German spreadsheet, without formulas
files/          `code-file`: tables in, coded tables out
registry/       `registry`: oBDS and ADT/GEKID messages
documents/      `read`: whole documents from files
fhir/           `fhir`: FHIR R4 Conditions
service/        `serve`: the HTTP service
review/         `review`: the work list, its page, its exports
"""
