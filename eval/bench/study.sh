#!/usr/bin/env bash
# The study of docs/study.md on a pretrained model: two adapters, their fits, ten variants on six test sets, the report.
# Every step goes on where it was stopped, and what is there is not made again. On a GPU, take ROWS=0 (all pairs).
#
#     make study                                        Gemma 3 270M, some hours on two cores with bf16
#     make study MODEL=Qwen/Qwen3-8B ROWS=0 K=10 LORA="--batch 16"
set -euo pipefail

onkokode=${ONKOKODE:-.venv/bin/onkokode}
catalogues=${ONKOKODE_SHARED:-../shared}/catalogues
model=${MODEL:-gemma-3-270m}
runs=${RUNS:-runs}
out=$runs/study/${model##*/}
rows=${ROWS:-13000}              # pairs of the plain adapter; 0: all
shown_rows=${SHOWN_ROWS:-8000}   # pairs of the adapter with candidates, which are four times as long
k=${K:-5}                        # candidates in a prompt
composed=${COMPOSED:-1000}
lora=${LORA:---compile --dropout 0}

# What the fits and the test set composed read; what is there is kept.
"$onkokode" train corpus --catalogues "$catalogues" --out "$runs/models" \
    --only composed_heldout --only other --only around
[ -f "$runs/pairs/card.json" ] || "$onkokode" train pairs --catalogues "$catalogues" --out "$runs/pairs"
[ -f "$runs/pairs-k$k/card.json" ] ||
    "$onkokode" train pairs --catalogues "$catalogues" --out "$runs/pairs-k$k" --candidates "$k"

# Codes only: two thirds of the pairs ask for tumour or not, which the study does not.
train() { # folder, pairs, rows, epochs, further options
    local folder=$1 pairs=$2 rows=$3 epochs=$4
    shift 4
    [ -f "$folder/README.md" ] && return
    # shellcheck disable=SC2086
    "$onkokode" train lora --model "$model" --pairs "$pairs" --out "$folder" --style short --rank 8 --alpha 16 \
        --learning-rate 1e-3 --epochs "$epochs" --save-steps 100 $([ "$rows" = 0 ] || echo --rows "$rows") "$@" \
        $(printf -- '--task %s ' icd10gm icdo_topography icdo_morphology) $lora
}
train "$out/plain" "$runs/pairs" "$rows" 5 --batch 8 --longest 160 --development-rows 300
train "$out/shown" "$runs/pairs-k$k" "$shown_rows" 1 --batch 2 --longest 640 --development-rows 300

for adapter in plain shown; do
    [ -f "$out/$adapter/decision.json" ] ||
        "$onkokode" train fit --catalogues "$catalogues" --model "$model" --adapter "$out/$adapter" --out "$runs/models" --texts 300
done

sets=(--testset heldout --testset devsets --testset wards --testset notes --testset clinical)
variants=base,three-examples,retrieval-on-base,fine-tuned,retrieval-on-fine-tuned,fine-tuned-with-candidates,fused,combined
run() { "$onkokode" eval run --out "$out/measured" --corpus "$runs/models/corpus" "$@"; }
for chosen in "${sets[*]}" "--testset composed --rows $composed"; do
    # shellcheck disable=SC2086
    run $chosen --only agent,retrieval     # the embedded default beside it
    # shellcheck disable=SC2086
    run $chosen --only "$variants" --model "$model" --adapter "$out/plain" --adapter-with-candidates "$out/shown" --candidates "$k"
done
"$onkokode" eval report "$out/measured" --out "$out/report"
