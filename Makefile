# make demo: train on scikit-learn's digits.  make test: lint, types and every test.
# make docs: the site, in docs/_build/html.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs lint format clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

demo: .venv/installed
	$(BIN)/python examples/plot_digits.py

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: lint
	$(BIN)/python -m pytest --cov --cov-report=term

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -W --keep-going docs docs/_build/html

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info docs/_build docs/gallery docs/api/generated
