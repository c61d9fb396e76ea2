# make help explains every target.
PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: help environment demo reproduce-paper report theory data speed test test-fast lint clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PROFILE=quick    what can be decided in minutes (default); PROFILE=paper: full budgets, days; claims: weeks"
	@echo "  DRY_RUN=1        show what reproduce-paper would run, and how long, and stop"
	@echo "  PYTHON=python3   interpreter that the environment is made with, 3.11 or newer"

environment: $(INSTALLED) ## create .venv with the pinned packages

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is older; name another one: make PYTHON=/path/to/python"; exit 1; }
	@echo "creating the environment in $(VENV) (about a minute)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench,dev,rl,wandb]'
	@touch $@

demo: $(INSTALLED) ## a first look in a minute: train a spiking network without gradients, draw what happened (results/demo/)
	@$(RUN) -m scripts.demo

reproduce-paper: $(INSTALLED) ## get the data, run the experiments of PROFILE, build tables and figures in results/reproduction/
	@$(RUN) -m scripts.reproduce --profile $(PROFILE) $(if $(filter-out 0,$(DRY_RUN)),--dry-run)

report: $(INSTALLED) ## rebuild tables and figures of your own runs (results/reproduction/)
	@$(RUN) -m scripts.report

theory: $(INSTALLED) ## check statements about the method, results/reproduction/THEORY.md (an hour; some: STUDIES="saturation rate")
	@$(RUN) -m scripts.theory $(STUDIES)

data: $(INSTALLED) ## fetch and verify the data sets into data/
	@$(RUN) -m scripts.fetch_data

speed: $(INSTALLED) ## measure candidates per second of every evaluation path
	@$(RUN) -m scripts.benchmark_speed

test: $(INSTALLED) ## run all tests
	@$(RUN) -m pytest

test-fast: $(INSTALLED) ## run the tests that take less than ten seconds each
	@$(RUN) -m pytest -m "not slow"

lint: $(INSTALLED) ## check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

clean: ## remove the environment; data and results stay
	rm -rf $(VENV)
