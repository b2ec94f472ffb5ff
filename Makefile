# Every target does its own set-up. `make demo` and `make test` are the two that matter.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Two cores are what the suite is measured on.
WORKERS ?= 2
SECONDS_LEFT ?= 1200
DEMO ?=
BENCHMARKS ?= import_speed import_memory refresh_growth event_bytes end_to_end resolution polling_hour api

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-long test-long-part pictures lint lint-python lint-sql lint-imports format bench constraints \
	clean

help:
	@echo "make demo         a made-up listening history, from archive to answers (DEMO='--keep' leaves the pages running)"
	@echo "make test         linters, types, import rules, and every test but the long ones"
	@echo "make coverage     the same tests, and which lines they reach"
	@echo "make test-long    the long tests with their full counts"
	@echo "make lint         linters, types and import rules alone"
	@echo "make format       let the formatters rewrite what they can"
	@echo "make pictures     the README's pictures of the dashboard, by the browser test"
	@echo "make bench        the benchmarks, one table each"
	@echo "make constraints  write constraints.txt from what is installed"
	@echo "make clean        remove what make made (not MYI_HOME)"

$(VENV)/pyvenv.cfg:
	@python=$$(scripts/find-python) && echo "Making $(VENV) with $$python" && "$$python" -m venv $(VENV)

# Installed again only when what is wanted changed. The development set holds all of the other.
$(VENV)/.installed: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing MYI (a few minutes the first time)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing MYI and its development tools (a few minutes the first time)"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/myi demo $(DEMO)

lint: lint-python lint-imports lint-sql

lint-python: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

lint-sql: $(VENV)/.installed-dev
	$(BIN)/sqlfluff lint --processes $(WORKERS) dbt_project/models myi_pipeline/warehouse myi_pipeline/api

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -m "not long" --durations=20

# Counting lines makes the same tests take two thirds longer.
coverage: $(VENV)/.installed-dev
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -m "not long" --cov --cov-report=term

test-long: $(VENV)/.installed-dev
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -m long

# What of the long suite fits into SECONDS_LEFT: fewer kills, and no test begins in the last seven minutes.
test-long-part: $(VENV)/.installed-dev
	PYTHONPATH=. $(BIN)/pytest -p tests.time_budget --begin-within-s $$(($(SECONDS_LEFT) - 420)) \
		-n $(WORKERS) --dist load -m long tests/integration tests/e2e --importer-kills 200 --refresh-kills 20 \
		--login-kills 50 --key-rotation-kills 20 --poll-kills 100

pictures: $(VENV)/.installed-dev
	MYI_TEST_NEEDS_BROWSER=1 MYI_TEST_PICTURES=1 $(BIN)/pytest tests/browser -k pictures

bench: $(VENV)/.installed-dev
	@for benchmark in $(BENCHMARKS); do echo "== $$benchmark"; $(BIN)/python -m "benchmarks.$$benchmark" || exit 1; done

constraints: $(VENV)/.installed-dev
	@$(PIP) freeze --exclude-editable --exclude myi-pipeline | LC_ALL=C sort -f > constraints.txt.new
	@{ echo "# The exact set that the tests ran on: pip install -c constraints.txt -e ."; cat constraints.txt.new; } > constraints.txt
	@rm constraints.txt.new
	@wc -l constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
