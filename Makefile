# From a fresh clone: `make demo` shows what brenier does, `make test` checks that it does it.
# `make test PYTHON=python3.13` does so with another Python, in a .venv of its own; from 3.13 on with
# the newest releases.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv$(if $(filter command,$(word 1,$(origin PYTHON))),-$(VERSION))
LOCK := $(if $(filter 3.11 3.12,$(VERSION)),requirements.lock,requirements-latest.lock)
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
UV ?= $(firstword $(wildcard $(BIN)/uv) uv)
COMPILE := $(UV) pip compile --quiet --no-annotate --no-header --no-emit-index-url \
  --no-emit-find-links --extra dev

DOCTESTS := --doctest-modules src/brenier --ignore-glob='*/__init__.py'

.PHONY: setup demo ddpm-demo test test-core doctest lint docs build lock

setup: $(STAMP)

$(STAMP): $(LOCK) pyproject.toml
	@case "$(VERSION)" in \
	  "") echo "$(PYTHON): got no Python of that name; wants one of 3.11 or newer." >&2; exit 2;; \
	  2.*|3.?|3.10) echo "$(PYTHON): got Python $(VERSION); wants 3.11 or newer" \
	    "(make setup PYTHON=python3.11)." >&2; exit 2;; esac
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: setup
	$(BIN)/brenier demo --out demo

ddpm-demo: setup
	$(BIN)/brenier ddpm demo --out ddpm-demo

# Tests, and then the examples of docstrings: whose modules are those that tests have imported.
test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal tests $(DOCTESTS)

# The same tests where only the core and pytest are installed: what needs an extra is skipped.
test-core:
	test -x .venv-core/bin/python || $(PYTHON) -m venv .venv-core
	.venv-core/bin/python -m pip install --quiet --constraint $(LOCK) --editable '.[test]'
	.venv-core/bin/python -m pytest -n 2 --dist worksteal

doctest: setup
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2 $(DOCTESTS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Not --quiet: with it warnings are not counted, and nothing is strict.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The wheel and the source archive, in dist/.
build: setup
	$(BIN)/hatchling build

# Two locks, of the newest versions that pyproject.toml allows: for Python 3.11 and 3.12, which the
# newest of some packages have left, and for 3.13 and newer. Needs uv.
lock:
	$(COMPILE) --upgrade --python-version 3.11 --output-file requirements.lock pyproject.toml
	$(COMPILE) --upgrade --python-version 3.13 --output-file requirements-latest.lock pyproject.toml
