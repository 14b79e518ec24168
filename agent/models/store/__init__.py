"""Language models by name: from an installed package or a GGUF file to a folder of safetensors, once, offline.

from agent.models.store.names import model_folder
from agent.models.store.stored import add

add("gemma-3-270m")                          # from its package, which is installed
model_folder("gemma-3-270m")                 # '/home/…/onkokode/models/gemma-3-270m'
model_folder("/var/ollama/blobs/sha256-3f…")  # a GGUF file: made into a folder the first time

names      what `--model` may say, and the folder that is meant
known      the models that a package brings (known.tsv): add a row to offer one more
stored     the folders under ONKOKODE_HOME/models: add, list, remove, each whole or not there
gguf_file  what a GGUF file says of itself, and whether it is whole
conversion  from a GGUF file to a folder that loads as any other; rope  the positions' scaling in it
"""
