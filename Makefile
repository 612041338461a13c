# make demo: train on scikit-learn's digits.  make test: lint, types and every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format mutations clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: .venv/installed
	$(BIN)/python examples/plot_digits.py

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest --cov --cov-report=term

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Does a test notice each broken line? Writes tests/mutations.md.
mutations: .venv/installed-test
	$(BIN)/python -m tests.mutations

clean:
	rm -rf .venv build dist *.egg-info
