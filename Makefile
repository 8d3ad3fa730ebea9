# Each target makes .venv when it is missing or when the pins have changed.
#   make PYTHON=python3.12 test     another interpreter
#   make VENV=../env test           another place

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/tf_nar.installed
DEMO ?= bin/em.py --config=configs/em_toy.py --workdir=runs/demo --export=runs/demo/saved_model

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check doctor clean

help:  ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED)  ## Learns a toy language pair by EM and translates it, in runs/demo.
	$(RUN) $(DEMO)

test: $(INSTALLED)  ## Every test but the slow ones.
	$(RUN) -m pytest -q -n 2 --dist worksteal -o timeout_method=thread -m "not slow"

test-all: $(INSTALLED)  ## Every test.
	$(RUN) -m pytest -q

check: $(INSTALLED)  ## Lint, layering, sizes, type hints, commands of the docs: seconds, before each commit.
	$(RUN) -m ruff check .
	$(RUN) -m pytest -q tests/test_layering.py tests/test_size.py tests/test_hints.py tests/test_docs.py

doctor: $(INSTALLED)  ## Says what is wrong with this installation and how to mend it.
	$(RUN) bin/doctor.py

clean:  ## Takes away the environment, caches and the demo.
	rm -rf $(VENV) runs/demo build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): constraints-cpu.txt setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || { \
	  echo "tf_nar needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo missing)." \
	    "Say which: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing the pinned packages into $(VENV); the first time takes minutes."
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints-cpu.txt -e '.[cpu,ct2,openvino,serve,dev,docs]'
	@touch $@
