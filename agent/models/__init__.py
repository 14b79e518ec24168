"""Language models that score codes: a prompt and its possible answers in, log-probabilities out.

from agent.models.base import Question
from agent.models.local import LocalModel

[[scores]] = LocalModel.load("Qwen/Qwen3-8B").score([[Question("… Mammakarzinom …", ("C50.9", "D05.9"))]])

base          what the agent asks of a model: Question, CodeModel
compact       the embedded model, on NumPy; compact_network  its decoder
local         any other model on this machine
loading       its weights and adapter from disk, checked
self_check    whether the embedded weights say what they were trained to say
store/        models by name, from packages and GGUF files
served        a model behind an OpenAI-compatible server; openai_api  the client; server_probe  what it can do
prompts       how a diagnosis becomes a question, and a code an answer
tokens        from there to token ids, without control tokens of the text's own
tree_scoring  many answers in few forward passes; prefix_tree, tree_rows, tree_mask  what they
              share, how it is laid out, what a token sees; tree_search  which are worth reading on
mask_probe    what a network allows, found out on it; prompt_cache  what prompts begin with, read once
token_head    from states to log-probabilities
generate      what a model writes when nothing holds it, and the code in it
"""
