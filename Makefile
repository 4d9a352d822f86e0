# Needs on the machine: Python 3.11 or later with venv, and make. All else is fetched by its lock.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Two BLAS threads are many times slower than one on the small matrices of the fit.
export OPENBLAS_NUM_THREADS := 1

.PHONY: help run test test-slow test-all lint format bench migrate lock clean

help: ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Packages are compiled as they are installed: where Python may write no bytecode, every start would do it again.
.venv/runtime: requirements/runtime.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements/dev.txt .venv/runtime
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# A CRM that the tests read and write, in an environment of its own: nothing of it is imported here.
.venv/tryton/crm/crm.sqlite: requirements/tryton.txt tests/integrations/crm/tryton/prepare.py | .venv/runtime
	@test -x .venv/tryton/bin/python || $(PYTHON) -m venv --without-pip .venv/tryton
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv/tryton/bin/python --require-hashes -r requirements/tryton.txt
	@.venv/tryton/bin/python tests/integrations/crm/tryton/prepare.py .venv/tryton/crm

run: .venv/runtime ## Serve it, with a worker; an empty database gets the example company first
	@$(BIN)/tenure demo --if-empty
	@exec $(BIN)/tenure serve --with-worker

test: .venv/dev ## The tests, in a few minutes; what the machine lacks is skipped with its reason
	-@$(MAKE) --no-print-directory .venv/tryton/crm/crm.sqlite
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/dev ## The long statistical tests alone
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-all: test test-slow ## Everything

lint: .venv/dev ## Style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev ## The measured workloads, each beside its alternative
	$(BIN)/python -m benchmarks

migrate: .venv/runtime ## Bring the database to the version of the code
	@$(BIN)/tenure db upgrade

lock: .venv/runtime ## Lock the newest dependencies that fit pyproject.toml
	cd requirements && ../$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade uv.in -o uv.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --group build pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --group build --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade requirements/tryton.in -o requirements/tryton.txt

clean: ## Remove what was made, but not the database
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build *.egg-info
