# make demo: train on scikit-learn's digits.
# make test: lint, types and every test that is not slow.  make test-all: every test.
# make test-oldest: the tests on the oldest versions that pyproject.toml allows.
# make docs: the site, in docs/_build/html.
PYTHON ?= python3
BIN := .venv/bin
# Two workers, each of which computes with one thread (tests/conftest.py). What slow tests
# share is made in one of them: loadgroup.
TESTS := -m pytest -n 2 --dist loadgroup
FAST_TESTS := -m pytest -n 2 --dist worksteal -m "not slow"

.PHONY: demo test test-slow test-all test-oldest docs lint format mutations clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/installed-test-all: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[test-all]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs,onnx,safetensors]'
	touch $@

demo: .venv/installed
	@OMP_NUM_THREADS=1 $(BIN)/python -u examples/plot_digits.py
	@echo
	@echo "5. Your own images, all that are below a folder:"
	@echo
	@echo "   $(BIN)/python -m sklearn_byol FOLDER --out model.joblib"

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: lint
	$(BIN)/python $(FAST_TESTS) $(COVERAGE)

# What `make test` leaves out.
test-slow: .venv/installed-test-all
	$(BIN)/python $(TESTS) -m slow $(COVERAGE)

test-all: lint .venv/installed-test-all
	$(BIN)/python $(TESTS) --cov --cov-report=term

# Lint, types and documents are those of the newest versions.
.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -c constraints-oldest.txt --editable '.[test-all]'
	touch $@

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python $(TESTS) --ignore tests/test_docstrings.py --ignore tests/test_documentation.py --ignore tests/test_pages.py --ignore tests/test_site.py

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -W --keep-going docs docs/_build/html

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Does a test notice each broken line? Writes tests/mutations.md.
mutations: .venv/installed-test-all
	$(BIN)/python -m tests.mutations

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info docs/_build docs/gallery docs/api/generated
