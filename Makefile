# Every target does its own set-up. `make demo` and `make test` are the two that matter.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# On all cores, as pip does not. What some packages hold for another Python does not compile, and is not imported.
COMPILE = $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
# For two cores, on which the suite is measured: a quarter of its time is waiting.
WORKERS ?= 3
SECONDS_LEFT ?= 1200
DEMO ?=
IMAGE ?=
COVERAGE ?=
# Seconds after which slow tests, properties and broken variants begin no more; nothing: all of them, however long it takes.
BEGIN_WITHIN_S ?=
WITHIN = $(if $(BEGIN_WITHIN_S),-p tests.time_budget --begin-within-s $(BEGIN_WITHIN_S))
BENCHMARKS ?= first_minute refresh_command import_speed import_memory refresh_growth event_bytes end_to_end recordings matching migration resolution resolution_scrobbles polling_hour \
	api search disk idle freshness growth backup

# The tests start some hundred Pythons: without their compiled files each would compile half of the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo wheel image parsed test test-slow test-properties test-e2e scale test-scale-small check unit coverage test-long test-long-broken test-long-part pictures lint lint-style lint-types \
	lint-imports lint-sql format bench constraints clean

help:
	@echo "make demo         a made-up listening history, from archive to answers (DEMO='--keep' leaves the pages running)"
	@echo "make wheel        the wheel, with the dbt project parsed ahead, into dist/"
	@echo "make image        the container image, as scripts/build-image builds it (IMAGE='--extras aws,celery,object-store')"
	@echo "make check        linters, types, import rules, unit tests, tests/architecture: a minute and a half, for every commit"
	@echo "make test         linters, types, import rules, and every test but slow ones, properties and long ones"
	@echo "make test-slow    whole installations, a real browser, and whatever waits for seconds"
	@echo "make coverage     both of these, and that they reach 85 % of the lines"
	@echo "make test-properties  laws on random input, kills included: minutes"
	@echo "make test-long    everything marked long, with full counts: hours"
	@echo "make test-long-broken  checks that broken variants are detected"
	@echo "make scale        several hosts on this machine, some of which are lost; two workers against one: half an hour"
	@echo "make unit         only the unit tests and tests/architecture: no database"
	@echo "make lint         only linters, types and import rules"
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
	@$(PIP) install --no-compile -c constraints.txt -e .
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing MYI and its development tools (a few minutes the first time)"
	@$(PIP) install --no-compile -c constraints.txt -e '.[dev]'
	@$(COMPILE)
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@$(BIN)/myi demo $(DEMO)

# Side by side: mypy and sqlfluff take half a minute each without their caches.
lint: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory -j $(WORKERS) lint-style lint-types lint-imports lint-sql

check: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory -j $(WORKERS) lint-style lint-types lint-imports lint-sql unit

unit: $(VENV)/.installed-dev
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -q -m "not slow and not long and not property" tests/unit tests/architecture

lint-style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(VENV)/.installed-dev
	$(BIN)/mypy

lint-imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

lint-sql: $(VENV)/.installed-dev
	$(BIN)/sqlfluff lint --processes $(WORKERS) dbt_project/models myi_pipeline

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What `make wheel` ships too: no test parses the dbt project again in a home of its own.
parsed: $(VENV)/.installed-dev
	@$(BIN)/python -m myi_pipeline.marts.parse_ahead

# In their own order: xdist's puts modules of few tests last, and the longest ones are among those.
test: lint parsed
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not slow and not long and not property" --durations=20 $(COVERAGE)

# Whole installations, a real browser, and whatever waits for seconds.
test-slow: parsed
	PYTHONPATH=. $(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "slow and not long and not property" --durations=20 $(COVERAGE) $(WITHIN)

# Laws on random input, kills included, with counts that take some minutes.
test-properties: parsed
	PYTHONPATH=. $(BIN)/pytest -n $(WORKERS) --dist loadscope -m "property and not long" tests/unit tests/dbt tests/integration $(COVERAGE) $(WITHIN)

# Counts in the tests' own processes alone; from Python 3.12 on sys.monitoring makes it cheaper.
coverage: $(VENV)/.installed-dev
	@COVERAGE_CORE=$$($(BIN)/python -c "import sys; print('sysmon' if sys.version_info >= (3, 12) else 'ctrace')"); \
	export COVERAGE_CORE; \
	$(MAKE) --no-print-directory test COVERAGE="--cov --cov-report= --cov-fail-under=0" && \
	$(MAKE) --no-print-directory test-slow COVERAGE="--cov --cov-append --cov-report=term:skip-covered"

test-long: parsed
	$(BIN)/pytest -n $(WORKERS) --dist loadscope -m long

# Properties that are run on a deliberately broken variant, so that they are known to be able to fail.
test-long-broken: parsed
	PYTHONPATH=. $(BIN)/pytest -n $(WORKERS) --dist loadscope -m long -k broken tests/dbt tests/integration $(WITHIN)

# The demo, from here and from the wheel.
test-e2e: parsed
	$(BIN)/pytest tests/e2e

# Hosts are namespaces of the kernel where they can be made (as root). By itself: it wants both cores.
scale: parsed
	$(BIN)/pytest tests/scale
	$(BIN)/python -m benchmarks.scale_throughput

# The same story in a small version, for CI. Each test goes on with what the one before has left.
test-scale-small: parsed
	PYTHONPATH=. $(BIN)/pytest -n 0 -x tests/scale/test_lost_hosts.py --scale-archives 2 --scale-plays 2000 --scale-listeners 20 --scale-broker redis $(WITHIN)

# What of the long suite fits into SECONDS_LEFT: fewer kills, and no test begins in the last seven minutes.
test-long-part: parsed
	PYTHONPATH=. $(BIN)/pytest -p tests.time_budget --in-turns --begin-within-s $$(($(SECONDS_LEFT) - 420)) \
		-n $(WORKERS) --dist load -m long -k "not broken" tests/integration tests/dbt --importer-kills 200 --refresh-kills 20 \
		--login-kills 50 --key-rotation-kills 20 --poll-kills 100 --migration-kills 100

# With the dbt project parsed ahead. A plain `pip wheel .` leaves that to the first refresh.
wheel: $(VENV)/.installed
	@$(BIN)/python -m myi_pipeline.marts.parse_ahead
	@$(PIP) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

image:
	@scripts/build-image $(IMAGE)

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
