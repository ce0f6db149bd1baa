# Two commands set everything up by themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGES := tests/docs/test_commands.py

.PHONY: demo test pages lint hooks matrix bench bench-gpu docs clean

demo: $(VENV)/demo
	$(BIN)/pathfuse fit --recipe corranet.yaml

test: $(VENV)/test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --ignore $(PAGES)

# Every command and Python block of the documentation, page by page; as long as all other tests together.
pages: $(VENV)/test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 $(PAGES)

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=plugins $(BIN)/mypy pathfuse plugins/pathfuse_*

# Every commit is formatted and checked, every push passes `make lint`.
hooks: $(VENV)/lint $(VENV)/hooks
	$(BIN)/pre-commit install

# One environment per Python and extra, with every Python that is here; TESTS=tests/core runs a part.
TESTS ?= tests
matrix:
	$(PYTHON) .ci/matrix.py $(TESTS)

# Ends in one table of aims, and with 1 where one is missed.
bench: $(VENV)/bench
	$(BIN)/python -m benchmarks.every

# On a machine with a GPU, in less than 8 minutes.
bench-gpu: $(VENV)/bench
	$(BIN)/python -m benchmarks.bench_gpu

docs: $(VENV)/docs
	$(BIN)/sphinx-build -W --keep-going -E -b html docs build/docs

# One stamp per extra; installed again when the project file or the pins change.
$(VENV)/demo: extra =
$(VENV)/test: extra = [test]
$(VENV)/lint: extra = [lint,test]
$(VENV)/hooks: extra = [hooks]
$(VENV)/bench: extra = [bench]
$(VENV)/docs: extra = [docs]

$(VENV)/demo $(VENV)/test $(VENV)/lint $(VENV)/hooks $(VENV)/bench $(VENV)/docs: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.$(extra)'
	touch $@

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pathfuse needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
