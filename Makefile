# make run    tries livehub on this machine
# make test   is all that must hold before a commit; .ci/run runs the same
# make long   is the tests again with many more rounds and examples
# make bench  measures livehub beside npm socket.io, and keeps the table in loadtest/RESULTS.md
# make fmt    puts code, config/livehub.toml and docs/events.md in shape
# make clean  takes away what make made, but not the data in var/
#
# What is missing is named and fails, here as in CI; nothing is skipped. Whatever is made once leaves a stamp, so that
# the next run is quick. pip on Debian 12 knows no dependency groups: what development needs is the extra [dev].

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
INTEROP := tests/interop
PEER := loadtest/peers/socketio

# An environment that was moved here, or whose Python is gone, is mended first.
$(shell test "$$(cat $(VENV)/.place 2>&1)" = "$(CURDIR)" && $(PY) -c '' 2>/dev/null || rm -f $(VENV)/.place)

.PHONY: help run test long bench lint types fmt clean python node cc

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

run: $(VENV)/.run
	@$(VENV)/bin/livehub serve --config config/dev.toml

test: lint types node cc $(INTEROP)/node_modules/.stamp $(PEER)/node_modules/.stamp
	$(PY) -m pytest

long: $(VENV)/.dev node cc $(INTEROP)/node_modules/.stamp $(PEER)/node_modules/.stamp
	$(PY) -m pytest --kill-rounds 50 --examples 1000 --attendees 1000 --attend-s 60 --guests 2000

bench: $(VENV)/.dev node cc $(PEER)/node_modules/.stamp
	$(PY) -m loadtest bench

lint: $(VENV)/.dev
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(VENV)/.dev
	$(PY) -m mypy

fmt: $(VENV)/.dev
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format
	$(PY) -m livehub.reference > $(VENV)/livehub.toml
	cp $(VENV)/livehub.toml config/livehub.toml
	$(VENV)/bin/livehub events --config config/dev.toml --format markdown > $(VENV)/events.md
	cp $(VENV)/events.md docs/events.md

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis $(INTEROP)/node_modules $(PEER)/node_modules
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.place: | python
	@$(PY) -c '' 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@rm -f $(VENV)/.run $(VENV)/.dev
	@echo "$(CURDIR)" > $@

$(VENV)/.run: pyproject.toml $(VENV)/.place
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.place
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

%/node_modules/.stamp: %/package.json %/package-lock.json | node
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

python:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON). On Debian: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "too old: livehub needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) -V 2>&1)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "missing: Python's venv module. On Debian: apt install python3-venv" >&2; exit 1; }

cc:
	@command -v cc >/dev/null || { echo "missing: cc, for the bare loop that broadcasts are compared with. On Debian: apt install gcc libc6-dev" >&2; exit 1; }

node:
	@command -v node >/dev/null || { echo "missing: node, for the tests with real clients. Install Node.js 20 or later" >&2; exit 1; }
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
		|| { echo "too old: the tests need Node.js 20 or later, and node is $$(node --version)" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "missing: npm, which fetches the clients that the tests use" >&2; exit 1; }
