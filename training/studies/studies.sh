#!/usr/bin/env bash
# The studies of dev/LOG.md, from catalogue files to tables: do composed texts help, does topography catch
# up, LoRA against full fine-tuning and by rank, and what candidates in the prompt do with and without training.
#
#     make studies            about two hours on two cores; what is there already is not made again
set -euo pipefail

onkokode=${ONKOKODE:-.venv/bin/onkokode}
catalogues=${ONKOKODE_SHARED:-../shared}/catalogues
runs=${RUNS:-runs}
results=${RESULTS:-$runs/studies}

# The corpus is the first step of `make models`.
[ -f "$runs/models/corpus/composed_heldout.parquet" ] || { echo "no corpus in $runs/models: run make models first" >&2; exit 2; }

# 1. Arms of training texts, with the same budget and three seeds each.
"$onkokode" train study --catalogues "$catalogues" --corpus "$runs/models/corpus" --out "$runs/study"
for arm in "$runs"/study/*/; do
    variants=retrieval
    [ -d "$arm/model" ] && variants=retrieval,base
    "$onkokode" eval run --encoder "$arm/encoder" --model "$arm/model" --only "$variants" --rows 2000 \
        --testset heldout --testset devsets --testset composed --corpus "$runs/models/corpus" --out "$results/arms/$(basename "$arm")"
done

# 2. Pairs without and with cross-fitted candidates, over the published split alone.
for k in 0 10; do
    [ -f "$runs/pairs-k$k/card.json" ] || "$onkokode" train pairs --catalogues "$catalogues" \
        --out "$runs/pairs-k$k" --hold-out-terms 0 --hold-out-codes 0 --candidates "$k"
done

# 3. Fine-tuning a base that knows clinical wording but has not learnt the catalogue: ranks, full, with candidates.
# With candidates a line is asked in many ways, so one epoch over 80,000 pairs is as long as five over 16,045.
base=$runs/study/composed-13/model
tune() { # name, rank, learning rate, pairs, epochs, rows
    "$onkokode" train lora --model "$base" --pairs "$runs/$4" --out "$runs/lora/$1" --task icd10gm --rank "$2" \
        --alpha "$((2 * $2))" --learning-rate "$3" --epochs "$5" --rows "$6" --development-rows 700 \
        --packing --longest 256 --batch 5
}
for rank in 2 8 64; do tune "rank-$rank" "$rank" 5e-3 pairs-k0 5 16045; done
tune full 0 2e-3 pairs-k0 5 16045
tune rank-8-candidates 8 5e-3 pairs-k10 1 80000
tune full-candidates 0 2e-3 pairs-k10 1 80000
"$onkokode" train compare "$runs"/lora/{rank-2,rank-8,rank-64,full} --task icd10gm --out "$results/lora"

# 4. The held-out lines: each model asked with the prompts that it knows, and the plain ones with candidates.
measure() { # name, pairs, model or adapter options
    "$onkokode" train measure --pairs "$runs/$2" --part test_term --task icd10gm \
        --out "$results/candidates/$1.json" "${@:3}"
}
measure base pairs-k0 --model "$base"
measure rank-8 pairs-k0 --model "$base" --adapter "$runs/lora/rank-8"
measure full pairs-k0 --model "$runs/lora/full"
measure base-shown-candidates pairs-k10 --model "$base"
measure rank-8-shown-candidates pairs-k10 --model "$base" --adapter "$runs/lora/rank-8"
measure full-shown-candidates pairs-k10 --model "$runs/lora/full"
measure rank-8-trained-with-candidates pairs-k10 --model "$base" --adapter "$runs/lora/rank-8-candidates"
measure full-trained-with-candidates pairs-k10 --model "$runs/lora/full-candidates"
