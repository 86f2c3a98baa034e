# The environment is created once, in .venv, from the locked and hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Only the tests of the rules always measure coverage, of every branch: it takes tests half as long again.
RULES := tests/domain tests/policies

.PHONY: help run check lint quick test coverage install docs bench format lock clean
.DELETE_ON_ERROR:

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.* ## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Serve a sample ledger on http://127.0.0.1:8000.
	$(BIN)/python -m app.demo

# Keep bytecode despite the environment: otherwise each of the hundreds of processes that the tests start would
# compile the whole program.
quick test coverage: export PYTHONDONTWRITEBYTECODE =

check: $(VENV)/.installed-dev ## Run lint and quick at the same time: before each commit.
	@$(MAKE) --no-print-directory -j 2 lint quick

lint: $(VENV)/.installed-dev ## Check style, types and imports.
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

quick: $(VENV)/.installed-dev ## Run the tests that need no database and no process, with a tenth of the random examples.
	FEW_EXAMPLES=1 $(BIN)/python -m pytest -n 2 -m "not database and not slow"

test: lint ## Run every check and every test, on SQLite and on PostgreSQL.
	$(BIN)/python -m pytest -n 2 $(RULES) --cov=domain --cov-report=term --cov-fail-under=100
	$(BIN)/python -m pytest -n 2 $(RULES:%=--ignore=%)

coverage: $(VENV)/.installed-dev ## Measure how much of the program the tests cover: before a release.
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

install: $(VENV)/.installed ## Create the environment and do nothing else.

docs: $(VENV)/.installed-dev ## Generate the tables of the reference and the description of the API.
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.api.test_openapi

bench: $(VENV)/.installed-dev ## Measure this machine.
	$(BIN)/python -m bench

format: $(VENV)/.installed-dev ## Format the code, and fix what ruff can fix.
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed, and no $(PYTHON) was found. Install it, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Name a newer one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --require-hashes -r requirements.txt || { echo "The packages could not be installed: is a Python package index reachable? (pip config list shows which is asked)" >&2; exit 1; }
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.txt || { echo "The packages for the tests could not be installed: is a Python package index reachable?" >&2; exit 1; }
	@touch $@

clean: ## Remove the environment, the caches and data/.
	rm -rf $(VENV) data .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

# For use after pyproject.toml has changed; names no index. Extras are kept: for pip, "coverage[toml]" is another
# package than a pinned "coverage", and needs its own hash.
lock: $(VENV)/bin/python ## Generate the locked requirements.
	@$(PIP_INSTALL) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-strip-extras --no-header --no-annotate pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-strip-extras --no-header --no-annotate --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
