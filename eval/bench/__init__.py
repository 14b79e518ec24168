"""What `make bench` runs (runs.yaml), and the page that it writes, docs/figures.md.

figures   the page and the blocks of README and docs, from run folders
speed     start, single text, batch, index build; FAISS against NumPy
peers     beside another checkout, simple classifiers, other ways with the same weights
model_speed  candidates scored per second by any language model, beside writing codes
commands  `onkokode eval figures`, `speed`, `bench`, `model-speed`, `faiss`
"""
