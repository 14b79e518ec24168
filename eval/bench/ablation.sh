#!/usr/bin/env bash
# The ablation of docs/results/ablation: eight variants with the embedded models on three test sets (the list is
# eval/bench/runs.yaml), and the report. What is answered already is not asked again; a variant that is missing is an
# error. The runs lie where `make bench` looks for them.
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

run() { "$onkokode" eval figures --corpus "$runs/models/corpus" --out "$runs/measured" "$@"; }
run --testset heldout --testset devsets &
other=$!
run --testset composed || { wait "$other" || true; exit 2; }
wait "$other"

# The page, the rows' browser and all scores are for the disk; the tables are published.
"$onkokode" eval report "$runs/measured" --testset heldout --testset devsets --testset composed --out "$runs/ablation-report"
mkdir -p "$results"
cp "$runs/ablation-report/report.md" "$results"
