"""Registry messages, oBDS 3 and ADT/GEKID 2: read, code, compare, fill.

run = Run(agent, [report], write=True)              # registry.run
run.file(Path("meldung.xml"), Path("gefuellt.xml"))

run.py         many messages, in batches
messages.py    XML to Meldungen, with the place of each code in the bytes of the file
parts.py       what is open while a message is read
records.py     what is kept of a message: nothing of the patient
carried.py     what other Meldungen of the patient say of the same tumour
years.py       of which edition the codes of a tumour are
coding.py      which texts of a tumour the agent is asked
compare.py     a code of the message against the proposal
rows.py        rows of the report, what is to be filled, and of which edition a code is
absent.py      code elements that a message leaves out, and where the schema has them
fill.py        codes written into empty elements and absent ones, every other byte as it was
report.py      CSV and JSON reports
errors.py      why a message is refused
commands.py    `onkokode registry`
"""
