"""Files and what goes wrong with them: written whole or not at all, read with their hashes, explained in one line.

with new_file(path) as half: ...                    # io.atomic
failures.explain(error, reads=[source])             # 'in.csv: no permission; change the rights …'

atomic.py       a file that appears under its name when it is complete
inputs.py       whether what a command reads is there, said like any other error
outputs.py      whether an output can be written, tried before the work
sealed.py       folders whose manifest lists and hashes every file; one writer at a time
weights.py      weights from safetensors only, complete and of numbers
tensors.py      the same as NumPy arrays, for what needs no torch
fingerprint.py  a short name for the weights in a folder
language.py     what is said to people, in one language a run; its messages are in messages.tsv
failures.py     errors of the system and of libraries as one line with file and remedy
markdown.py     a table in Markdown
progress.py     how long a run still takes, as plain lines
"""
