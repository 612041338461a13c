# make demo: train on scikit-learn's digits.  make test: lint, types and every test.
# make test-oldest: the tests on the oldest versions that pyproject.toml allows.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oldest lint format clean

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

# Lint, types and documents are those of the newest versions.
.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -c constraints-oldest.txt --editable '.[test]'
	touch $@

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest tests --ignore tests/test_documentation.py

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info
