# `make demo` and `make test` set up all they need; another interpreter: make test PYTHON=python3.12 VENV=.venv312
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
INSTALLED := $(VENV)/.installed

.PHONY: demo test slow lint format clean

demo: $(INSTALLED)
	$(BIN)/python -m experiments.vae --run-dir runs/demo --overwrite

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]" -c $(CONSTRAINTS)
	touch $(INSTALLED)

clean:
	rm -rf $(VENV)
