# Targets need make and Python 3.11 or newer. They set up $(VENV) first.
# Another interpreter, with the newest release of every dependency: make test PYTHON=python3.12 VENV=.venv312 CONSTRAINTS=
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
INSTALLED := $(VENV)/.installed
PINNED := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
# For `make quick`; while working in one room: make quick QUICK=tests/models
QUICK ?= tests/test_imports.py tests/test_packaging.py tests/networks/test_networks.py tests/training/test_trainer.py \
	tests/objectives/test_vae.py tests/objectives/test_gan.py \
	$(addprefix tests/estimators/test_,adversarial.py distributions.py elbo.py laplacian_pyramid.py mmd.py moments.py)
# For `make accelerator`; on a TPU: make accelerator ON=tpu EXTRA=tpu
ON ?= cuda
EXTRA ?= cuda13
MINUTES ?= 60
TESTS ?= tests

.PHONY: demo test quick slow docs accelerator lint format clean

demo: $(INSTALLED)
	$(BIN)/python -m experiments.vae --run-dir runs/demo --overwrite

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

quick: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(QUICK)

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

# The pages, in docs/_build/html: offline; a warning is an error.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx -qW --keep-going -c docs . docs/_build/html

# Measures an accelerator, then runs the tests on it. Without make: python -m experiments.accelerator
accelerator: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,bench,$(EXTRA)]" $(PINNED)
	-$(BIN)/python -m experiments.accelerator --minutes $(MINUTES) --to runs/accelerator
	-TESTS_ON=$(ON) $(BIN)/python -m pytest $(TESTS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]" $(PINNED)
	touch $(INSTALLED)

clean:
	rm -rf $(VENV)
