# From a fresh clone: `make demo` shows what brenier does, `make test` checks that it does it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
UV ?= $(firstword $(wildcard $(BIN)/uv) uv)

.PHONY: setup demo ddpm-demo test doctest lint docs lock

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: setup
	$(BIN)/brenier demo --out demo

ddpm-demo: setup
	$(BIN)/brenier ddpm demo --out ddpm-demo

test: setup
	$(BIN)/python -m pytest -n 2

doctest: setup
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2 --doctest-modules src/brenier \
	  --ignore-glob='*/__init__.py'

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Not --quiet: with it warnings are not counted, and nothing is strict.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Pins the newest versions that pyproject.toml allows; needs uv.
lock:
	$(UV) pip compile --quiet --upgrade --no-annotate --no-header --no-emit-index-url \
	  --no-emit-find-links --extra test --extra lint --extra docs \
	  --output-file requirements.lock pyproject.toml
