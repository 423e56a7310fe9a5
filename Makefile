# `make` alone lists what there is. Works from any directory (make -C DIR …), as root or not.

ROOT := $(shell dirname -- "$(strip $(MAKEFILE_LIST))")
# Python 3.11 under whatever name it has here; `make PYTHON=/path/to/python3.11 …` says which.
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then command -v "$$name"; break; fi; done)

# Without bytecode files every start of Airflow takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE
# Variables that would lead our Python to other people's packages.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH VIRTUAL_ENV

IN := cd "$(ROOT)" &&
VENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run stop test test-unit check lock bench faults env clean python

help: ## list these targets
	@$(IN) awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: setup ## start everything and take one release from freeze to production
	@$(IN) ./hims up
	@$(IN) status=0; ./hims rehearse || status=$$?; ./hims people; \
	printf '\nEverything is still running: ./hims status, ./hims logs. Stop it with: make stop\n'; \
	exit $$status

stop: ## stop what runs here; databases and logs stay
	@$(IN) ./hims down

setup: python ## make .venv from the locked requirements (run does it by itself)
	@$(IN) "$(PYTHON)" -m tools.environment

setup-dev: python
	@$(IN) "$(PYTHON)" -m tools.environment --dev

test: setup-dev ## run all tests, as CI does
	@$(IN) $(VENV) -m pytest --numprocesses 2 $(ARGS)

test-unit: setup-dev ## run the tests that need no services (seconds)
	@$(IN) $(VENV) -m pytest tests/unit -q $(ARGS)

check: setup-dev ## linters, types, layers, and locks against their .in files
	@$(IN) $(VENV) -m ruff check .
	@$(IN) $(VENV) -m ruff format --check .
	@$(IN) $(VENV) -m mypy include plugins tools
	@$(IN) PYTHONPATH=.:plugins .venv/bin/lint-imports
	@$(IN) "$(PYTHON)" -m tools.locks --check

bench: setup-dev ## measure against the floors (minutes; wants a quiet machine)
	@$(IN) $(VENV) -m tests.bench $(ARGS)

faults: setup-dev ## kill every part at every moment of a deploy, and look (an hour; ARGS narrow it)
	@$(IN) $(VENV) -m pytest -q -m faults tests/integration
	@$(IN) $(VENV) -m tests.faults $(ARGS)

lock: python ## write the locks anew from the .in files (ARGS=--upgrade: newest versions)
	@$(IN) "$(PYTHON)" -m tools.locks $(ARGS)

env: python ## write .env with fresh secrets for docker-compose.yaml
	@$(IN) "$(PYTHON)" docker/new_env.py

clean: python ## remove .venv, caches and .run with its databases; refuses while it runs
	@$(IN) "$(PYTHON)" -m tools.clean

python:
	@test -n "$(PYTHON)" || { \
	echo "make: Python 3.11 was not found as python3.11, python3 or python." >&2; \
	echo "Install it (Debian 12: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 2; }
