# `make demo` and `make test` set up all they need; another interpreter: make test PYTHON=python3.12 VENV=.venv312
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
INSTALLED := $(VENV)/.installed
# Of `make accelerator`; on a TPU: make accelerator ON=tpu EXTRA=tpu PRECISIONS="float32 bfloat16"
ON ?= cuda
EXTRA ?= cuda13
PRECISIONS ?= float32 TF32_TF32_F32 BF16_BF16_F32
TESTS ?= tests

.PHONY: demo test slow accelerator lint format clean

demo: $(INSTALLED)
	$(BIN)/python -m experiments.vae --run-dir runs/demo --overwrite

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

# All that is to be known of an accelerator; a part that fails is said, and the others go on.
accelerator: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,bench,$(EXTRA)]" -c $(CONSTRAINTS)
	-$(BIN)/python -m experiments.check_device
	-TESTS_ON=$(ON) $(BIN)/python -m pytest $(TESTS)
	-for precision in $(PRECISIONS); do echo "contract table, products in $$precision"; \
		TESTS_ON=$(ON) JAX_DEFAULT_MATMUL_PRECISION=$$precision $(BIN)/python -m pytest tests/training/test_contract.py; done
	-$(BIN)/python -m experiments.benchmarks.objectives

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
