# One command each; `make help` lists them. Needs GNU make and Python >= 3.11 with venv, nothing else.
# Variables: PYTHON (the interpreter for .venv), PYTEST_ARGS (more arguments for pytest), WORKERS (of the tests), COVERAGE_GOAL and COVERAGE_FLOOR (percent), BENCH_ARGS (for the benchmarks).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough; `python3 -c` because a version manager's shim may exist and still refuse to run.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# Where it is set, every process would compile every module that it imports: a third of the time of a short command, a tenth of a run's.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv installs a lock in a fifth of the time of pip, which takes the same lock where uv cannot be had. A lock names everything, hence no
# dependencies: pip would ask for a hash of `gql[requests]` beside that of gql.
UV := uv==0.13.9
INSTALL = if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --quiet --python $(BIN)/python "$$@"; else $(PIP) "$$@"; fi
# xdist: a worker a core, two to four; a file's tests on the same one, so that fixtures of a module are made once; in the order of
# collection, which puts the slow ones first (tests/conftest.py).
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 2 ? 2 : cores > 4 ? 4 : cores)))
XDIST := pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python -m $(XDIST)
COVERAGE := $(BIN)/python -m coverage
# Percent of the package's statements and branches: what every function should have, and what the total must.
COVERAGE_GOAL ?= 92
COVERAGE_FLOOR ?= 92
# What is compiled ahead.
COMPILED = $(shell find pipelines/indicators pipelines/backtest/engine $(addprefix pipelines/backtest/,layout.py rules.py state.py) \
	pipelines/backtest/signal_performance/kernel.py \
	dbt_project/models dbt_project/macros -type f ! -path "*/__pycache__/*")

.PHONY: help demo test test-slow test-all coverage ui screenshots generate charts bench bench-large lint lock install install-dev clean clean-lake

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.warm ## install, then run the main job on the bundled real bars
	@$(BIN)/marketlake demo

ui: $(VENV)/.warm ## Dagster's UI and daemon on this home
	@$(BIN)/marketlake ui

# Frames of fast tests are small: a pool of threads in each worker takes a quarter more time than it spares. Slow tests keep theirs.
test coverage: export POLARS_MAX_THREADS := 1

test: $(VENV)/.dev $(VENV)/.warm ## the fast tests
	@$(PYTEST) -m "not slow and not ui" $(PYTEST_ARGS)

test-slow: $(VENV)/.dev $(VENV)/.warm ## the tests that `make test` leaves out: slow ones and those in a browser
	@$(PYTEST) -m "slow or ui" $(PYTEST_ARGS)

test-all: $(VENV)/.dev $(VENV)/.warm ## every test: slow ones and those in a browser too
	@$(PYTEST) $(PYTEST_ARGS)

screenshots: $(VENV)/.dev $(VENV)/.warm ## remake the pictures in docs/images from this home, which holds the demo (needs chromium)
	@$(BIN)/python -m tests.ui.screenshots .

generate: $(VENV)/.runtime ## rewrite the committed files that follow from the code: dbt's yml, columns in GX suites, docs/tables.md
	@$(BIN)/python -m pipelines.cli.generate

charts: $(VENV)/.dev ## fetch the chart library of the reports again, at its pinned version and hash (needs npm)
	@$(BIN)/python -m tests.support.chart_library

coverage: $(VENV)/.dev $(VENV)/.warm ## fast tests and some slow ones, measured: functions below COVERAGE_GOAL percent by name, and the total
	@$(COVERAGE) erase
	@$(COVERAGE) run -m $(XDIST) -m "measured or not (slow or ui)" $(PYTEST_ARGS)
	@$(COVERAGE) combine --quiet
	@$(COVERAGE) json --quiet -o coverage.json
	@$(BIN)/python -m tests.support.coverage_floor coverage.json --goal $(COVERAGE_GOAL) --floor $(COVERAGE_FLOOR)

bench: $(VENV)/.bench $(VENV)/.warm ## side by side with peers, as ratios (a twentieth of the large build)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-large: $(VENV)/.bench $(VENV)/.warm ## the same with the build of 67,500,000 rows
	@$(BIN)/python -m benchmarks --full $(BENCH_ARGS)

lint: $(VENV)/.dev ## ruff, mypy, the layers of imports, sqlfluff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

# One resolution for every supported Python: `fewest` keeps one version of a package, so results do not depend on the interpreter.
# Existing pins stay unless a requirement forces them; delete the lock first to take the newest of everything.
COMPILE := $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --no-emit-index-url \
	--generate-hashes --no-annotate --custom-compile-command "make lock"

lock: $(VENV)/.dev ## remake requirements*.lock from pyproject.toml
	@test -x $(BIN)/uv || $(PIP) $(UV)
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@$(COMPILE) --extra bench -c requirements.lock pyproject.toml -o requirements-bench.lock

install: $(VENV)/.warm ## make .venv and compile what can be compiled ahead
install-dev: $(VENV)/.dev $(VENV)/.warm ## the same with the tools for tests and lint

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "marketlake needs Python >= 3.11, and none was found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "marketlake needs Python >= 3.11, $(PYTHON) is older; name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PIP) $(UV) || echo "uv cannot be installed: pip does its work, in some minutes"

$(VENV)/.runtime: requirements.lock pyproject.toml setup.py | $(VENV)/bin/python
	@echo "installing $$(grep -c '==' requirements.lock) pinned packages into $(VENV) (half a minute)"
	@set -- --no-deps --require-hashes -r requirements.lock; $(INSTALL)
	@set -- --no-deps --editable .; $(INSTALL)
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "installing the tools for tests and lint"
	@set -- --no-deps --require-hashes -r requirements-dev.lock; $(INSTALL)
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.runtime
	@echo "installing the libraries to measure beside"
	@set -- --no-deps --require-hashes -r requirements-bench.lock; $(INSTALL)
	@touch $@

$(VENV)/.warm: $(VENV)/.runtime $(COMPILED)
	@$(BIN)/python -m pipelines.cli.warm
	@touch $@

clean: ## remove what runs and tools make (.venv, .state, caches, the catalogue); the lake stays
	rm -rf $(VENV) .state build dist *.egg-info marketlake.duckdb marketlake.duckdb.wal dbt_project/target dbt_project/logs logs
	rm -rf .coverage .coverage.* coverage.json .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-lake: ## remove the lake of this folder, raw files included: only the vendor can give them again
	find lake -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
