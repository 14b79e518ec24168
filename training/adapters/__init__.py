"""LoRA adapters, or full fine-tuning, on instruction pairs: for the embedded model as for a large one.

onkokode train pairs --catalogues ../shared/catalogues --out runs/pairs
onkokode train lora --model Qwen/Qwen3-8B --pairs runs/pairs --out runs/8b
onkokode train measure --model Qwen/Qwen3-8B --adapter runs/8b --pairs runs/pairs

pairs       questions and answers from catalogue lines; candidates  what their prompts show
data        pairs as one model is asked them, and as tokens on disk
lora        a whole run; trainer  TRL's trainer for its plan; packing  several pairs in a row
measure     greedy answers, right or wrong; report  results, cards, curves
throughput  how fast a training step is
commands    the command line of all these
"""
