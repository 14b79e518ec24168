# Everything happens in .venv and offline: only `make setup` downloads, and only packages whose hash stands in
# requirements/ (made by requirements/lock.sh).
#
#     make demo          from a fresh clone to fifteen coded texts
#     make test          what .ci/run runs

PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/.installed
STAMP := .venv/.installed-dev

# Where the catalogue and evaluation files lie; needed to train and to measure, not to code.
export ONKOKODE_SHARED ?= ../shared
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export LANGSMITH_TRACING := false
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo lint test test-all models studies ablation bench

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv with the exact files of requirements/

INSTALL := $(BIN)/python -m pip install -q --no-deps
FROM_LISTS := $(INSTALL) --require-hashes

# The lists are complete, which `pip check` confirms; setuptools, which builds the project, is in them. Where pip
# finds the CPU build of torch (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL) it is taken, else PyPI's, which needs the
# libraries of CUDA on Linux.
$(BASE): pyproject.toml requirements/torch-cpu.txt requirements/torch.txt requirements/base.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(FROM_LISTS) -r requirements/torch-cpu.txt 2> /dev/null || $(FROM_LISTS) -r requirements/torch.txt
	$(FROM_LISTS) -r requirements/base.txt
	$(INSTALL) --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

$(STAMP): $(BASE) requirements/dev.txt
	$(FROM_LISTS) -r requirements/dev.txt
	$(BIN)/python -m pip check
	touch $@

# What a user installs; the tests and the training need more.
demo: $(BASE)  ## code examples/texts.txt with the built-in models
	$(BIN)/onkokode code - < examples/texts.txt

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two processes with a thread each: torch's threads would wait for each other.
test: setup  ## the tests that need no long run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-all: setup  ## all tests, the slow ones too
	$(BIN)/python -m pytest -m ""

models: setup  ## train encoder, base model and adapters again from the catalogue files
	$(BIN)/onkokode train all --catalogues $(ONKOKODE_SHARED)/catalogues --out runs/models

studies: setup  ## arms of training texts, LoRA against full fine-tuning, candidates in the prompt
	ONKOKODE=$(BIN)/onkokode bash training/studies/studies.sh

ablation: setup  ## eight variants on three test sets, and the report
	ONKOKODE=$(BIN)/onkokode bash eval/bench/ablation.sh

study: setup  ## the study of docs/study.md on a pretrained model, MODEL=gemma-3-270m
	ONKOKODE=$(BIN)/onkokode bash eval/bench/study.sh

bench: setup  ## what docs/figures.md shows: the runs of eval/bench/runs.yaml, and the page
	$(BIN)/onkokode eval figures
