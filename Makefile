SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
REPORT := .cache/test
ON_BOTH_BINDINGS := tests/scenarios/test_scenarios.py tests/scenarios/test_rpmdb.py tests/property/test_oracle.py \
	tests/unit/planner tests/unit/root tests/unit/cli tests/unit/solver/test_universe.py \
	tests/unit/solver/test_hardware.py

include install.mk
include bench.mk
include story.mk

.PHONY: help demo test deep check fixtures-accept demo-repos clean system-packages FORCE

help:
	@echo 'make demo             two kernel updates, judged on bundled metadata; needs no root'
	@echo 'make test             every check and test; installs what they need'
	@echo 'make deep             the tests that run for minutes'
	@echo 'make story            real kernels, updated by the real zypper and booted'
	@echo 'make fixtures-accept  rewrite repos/fixtures/*/plan.json after reviewing what changed'
	@echo 'make demo-repos       rebuild the metadata bundled for the demo, and its transcript in README.md'
	@echo 'make clean            remove .venv and .cache'

# The interpreter chosen last time. The file changes only when the choice does, and .venv follows it.
.cache/python: FORCE
	@mkdir -p $(@D)
	@python=$$(tools/find-python) && { echo "$$python" | cmp -s - $@ || echo "$$python" >$@; }

# Editable, so that .venv/bin/kmpsolve is always the checkout's code.
$(BIN)/kmpsolve: .cache/python pyproject.toml
	@python=$$(cat $<) && echo "making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Comes before .venv wherever both are needed: the packages decide which interpreter is the best.
system-packages:
	@tools/system-packages

$(VENV)/tested: $(BIN)/kmpsolve
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(BIN)/kmpsolve
	@tools/demo $(BIN)/kmpsolve

check: system-packages $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

test: check
	@mkdir -p $(REPORT)
	$(BIN)/python -m pytest -n 2 --cov --cov-branch --cov-report=term --junitxml=$(REPORT)/junit.xml 2>&1 | tee $(REPORT)/pytest.log
	@echo 'the same answers, byte for byte, on the libsolv binding of the distribution:'
	KMPSOLVE_TEST_BINDINGS=distribution $(BIN)/python -m pytest -n 2 $(ON_BOTH_BINDINGS) \
		--junitxml=$(REPORT)/junit-distribution.xml

deep: system-packages $(VENV)/tested
	$(BIN)/python -m pytest -m deep

fixtures-accept: system-packages $(VENV)/tested
	$(BIN)/python -m tests.scenarios.accept $(NAMES)

demo-repos: system-packages $(VENV)/tested
	$(BIN)/python -m tests.scenarios.demo

clean:
	rm -rf $(VENV) .cache
