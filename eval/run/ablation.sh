#!/usr/bin/env bash
# The ablation of docs/results/ablation: every variant of eval/run/variants with the embedded default, on three test
# sets, and the report. What is answered already is not asked again.
#
#     make ablation           about twenty minutes on two cores
set -euo pipefail

onkokode=${ONKOKODE:-.venv/bin/onkokode}
catalogues=${ONKOKODE_SHARED:-../shared}/catalogues
runs=${RUNS:-runs}
results=${RESULTS:-docs/results/ablation}
# Two processes with a thread each: torch's threads would wait for each other.
export OMP_NUM_THREADS=1

[ -f "$runs/models/corpus/composed_heldout.parquet" ] ||
    "$onkokode" train corpus --catalogues "$catalogues" --out "$runs/models" --only composed_heldout

run() { "$onkokode" eval run --corpus "$runs/models/corpus" --out "$runs/ablation" "$@"; }
run --testset heldout --testset devsets &
run --testset composed --rows 6000
wait $!

"$onkokode" eval report "$runs/ablation" --out "$results"
