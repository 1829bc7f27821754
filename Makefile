# Everything here sets up its own virtual environment first, and is quick the second time.
#   PIP_FLAGS="--extra-index-url URL"   where pip should look too (the CPU build of torch, a mirror)
#   PYTHON=python3.12                   another interpreter        VENV=/path   another place for the environment
VENV   ?= .venv
BUDGET ?= 600MFLOPs
ARGS   ?=
BENCH  ?= benchmarks.port benchmarks.operations benchmarks.supernet_step benchmarks.costs
SETUP   = VENV="$(VENV)" PYTHON="$(PYTHON)" PIP_FLAGS="$(PIP_FLAGS)" SETUP_GOAL=$@ .ci/setup.sh

.PHONY: help search test test-all bench docs clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

search: ## set up, then search on the built-in data (BUDGET=600MFLOPs, ARGS="further flags of nas search")
	@$(SETUP)
	@$(VENV)/bin/nas search --budget $(BUDGET) $(ARGS)

test: ## set up, then lint, types and every test but the long proofs
	@$(SETUP) dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pytest -q -n 2 -m "not slow"

test-all: ## the long proofs too (many kills, many seeds, all published networks)
	@$(SETUP) dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pytest -q -n 2

bench: ## measure speed as ratios (BENCH="benchmarks.port" for one of them)
	@$(SETUP) dev
	@for module in $(BENCH); do echo "== $$module"; $(VENV)/bin/python -m $$module || exit 1; done

docs: ## write the tables of docs/settings.md again
	@$(SETUP) dev
	@$(VENV)/bin/python -m tests.house.settings_tables

clean: ## remove the environment and what the tools left; never touches runs/
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
