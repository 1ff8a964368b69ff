# `make repro`, `make test` and `make check` set up all that they need, once.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help repro test check lint lock clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

repro: .venv/runtime ## run the pipeline and print the results
	@$(RUN) dvc repro
	@$(RUN) motags results
	@echo "Next: dvc plots show --open (the plots in a browser) · dvc exp run -S clusterer.k=30 · README.md, after '. $(BIN)/activate'"

test: lint ## run every test
	@$(RUN) pytest -n auto --dist worksteal

check: lint ## run the fast tests only, before each commit
	@$(RUN) pytest -n auto --dist worksteal -m 'not slow'

lint: .venv/dev ## check style and types
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy

.venv/runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "motags needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

# torch pins what it needs for a GPU itself, and differently on each platform
FREEZE := .venv/lock/bin/pip freeze --all --exclude motags --exclude pip | sed 's/+[a-z0-9.]*$$//' \
	| grep -vE '^(cuda|nvidia|triton)'

lock: ## make the lock files again from pyproject.toml: names and versions only
	$(PYTHON) -m venv --clear .venv/lock
	.venv/lock/bin/pip install --quiet '.[train,review,media]'
	$(FREEZE) > requirements.lock
	.venv/lock/bin/pip install --quiet '.[dev,parquet,ray]'
	$(FREEZE) | grep -vxFf requirements.lock > requirements-dev.lock
	rm -rf .venv/lock

clean: ## remove what the pipeline and the tools made, but not DVC's cache
	rm -rf .venv logs data/raw data/catalogue data/*.parquet* data/*.safetensors* models dvc_plots .mypy_cache .pytest_cache .ruff_cache
