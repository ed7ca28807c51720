# The two commands of the README: `make run` and `make test`. Both make what they need and ask nothing.
# `make ohif` is `make run` on a PACS, which it starts: for OHIF in the browser. It needs Orthanc and says how to get it.

PYTHON ?= python3
BIN := .venv/bin
REQUIREMENTS := requirements.txt constraints.txt pyproject.toml
# Installing takes minutes: this says every few seconds what it is at.
ALIVE = $(BIN)/python .ci/alive.py
PIP = $(ALIVE) $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Images of containers often set this: each of some hundred processes of the tests would then compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run ohif test test-pythons lint clients audit docs clean clean-docs

# make run PORT=8001
PORT ?= 8000

run: .venv/.runs sample-data/abdomen/dataset.json
	@exec $(BIN)/activelabel start --studies sample-data/abdomen --port $(PORT)

ohif: .venv/.runs sample-data/abdomen/dataset.json
	@exec $(BIN)/python sample-data/serve_pacs.py --port $(PORT)

# Tests of one file stay together, as they share a server. Those with a server wait for it often, so that four at once are
# not too many for two cores. WORKERS=0 runs them in this process.
WORKERS ?= 4

# Whether servers, browsers and databases answer in time depends on what else the machine does: up to two tests may be tried
# once more, each with its traceback. `python -m pytest` tries none again.
TWICE = --reruns 1 --max-suite-reruns 2 --rerun-show-tracebacks

test: .venv/.tests lint
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TWICE)

# What is below the server, on Python 3.10 and 3.12: an environment each, of some GB.
test-pythons: .venv/.tests
	@$(BIN)/python .ci/other_pythons.py

lint: .venv/.tests clients
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# What runs in the browser: types, lint, unit tests, and whether the built file in the package is up to date. It needs Node
# and npm only.
clients: clients/ohif/node_modules/.installed
	@npm --prefix clients/ohif run --silent check

clients/ohif/node_modules/.installed: clients/ohif/package-lock.json
	@command -v npm >/dev/null || { echo "install Node.js 20 or newer with npm first" >&2; exit 2; }
	@npm --prefix clients/ohif ci --silent --no-audit --no-fund
	@touch $@

# Known vulnerabilities of what is pinned, from a database on the network; .ci/vulnerabilities.toml has those that were judged.
audit: .venv/.runs
	@$(PIP) pip-audit
	@$(BIN)/python .ci/audit.py

# The documentation site, in site/. It reads the code and imports nothing of it, so it needs only an environment of its own.
docs: .venv-docs/.builds
	@.venv-docs/bin/zensical build --strict

.venv-docs/.builds: requirements-docs.txt
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --requirement requirements-docs.txt
	@touch $@

clean: clean-docs

clean-docs:
	@rm -rf .venv-docs site .cache

sample-data/abdomen/dataset.json: .venv/.runs sample-data/make_abdomen.py
	@echo "making the sample data: 24 small synthetic volumes"
	@$(BIN)/python sample-data/make_abdomen.py

.venv/bin/python:
	@$(PYTHON) lib/activelabel/python_version.py
	@echo "making an environment in .venv, and filling it with about 9 GB"
	@$(PYTHON) -m venv .venv

.venv/.runs: .venv/bin/python $(REQUIREMENTS)
	@$(BIN)/python lib/activelabel/python_version.py
	@$(PIP) --requirement requirements.txt
	@touch $@

.venv/.tests: .venv/.runs requirements-dev.txt tests/system_packages.sh
	@$(PIP) --requirement requirements-dev.txt
	@$(ALIVE) sh tests/system_packages.sh
	@$(ALIVE) $(BIN)/python .ci/other_pythons.py --core
	@touch $@

clean:
	@rm -rf clients/ohif/node_modules clients/ohif/build
	@rm -rf .venv .venv-3.10 .venv-3.12 .venv-core-3.10 .venv-core-3.12 sample-data/abdomen sample-data/abdomen-labels sample-data/pacs
