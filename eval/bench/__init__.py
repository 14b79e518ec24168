"""What `make bench` runs (runs.yaml), and the page that it writes, docs/figures.md.

figures   the page and the blocks of README and docs, from run folders
speed     start, single text, batch, index build; FAISS against NumPy
commands  `onkokode eval figures`, `speed`, `faiss`
"""
