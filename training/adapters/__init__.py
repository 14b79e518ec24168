"""LoRA adapters, or full fine-tuning, on instruction pairs: for the embedded model as for a large one.

onkokode train pairs --catalogues ../shared/catalogues --out runs/pairs
onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/8b
onkokode train measure --model Qwen/Qwen3-8B --adapter runs/8b --pairs runs/pairs

pairs       questions and answers from catalogue lines; candidates  what their prompts show
statements  clinical statements as written, with the codes of all axes
data        pairs as one model is asked them
lora        a whole run; trainer  the trainer for its plan
trees       a text's questions as one tree of tokens, several in a row; loss  scores where answers are
measure     greedy answers, right or wrong; report  results, cards, curves
throughput  how fast a training step is
commands    the command line of all these
"""
