# The commands of this project. `make` lists them; each prepares .venv first where it needs it.
# Written for GNU make 3.81 and later, so that macOS's own make will do.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

# Which build of torch: cpu, cu126 (or another CUDA or ROCm tag), or default (the package index's
# own). The choice is remembered in .venv, so that a later `make test` does not undo it.
ifndef TORCH
TORCH := $(or $(shell cat $(VENV)/.torch 2>/dev/null),cpu)
endif
TORCH_VERSION ?= $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX ?= https://download.pytorch.org/whl/$(TORCH)
ifeq ($(TORCH)-$(shell uname -s),cpu-Darwin)
TORCH_SOURCE := default
else
TORCH_SOURCE := $(TORCH)
endif
ifeq ($(TORCH_SOURCE),default)
# === because == would accept an installed +cpu build.
TORCH_WHEEL = torch===$(TORCH_VERSION)
else
# Alone and without its dependencies: nothing else may come from that index.
TORCH_WHEEL = --index-url $(TORCH_INDEX) torch==$(TORCH_VERSION)+$(TORCH)
endif

# Which extras of pyproject.toml, remembered too; dev has all that the tests need but OpenVINO.
ifndef EXTRAS
EXTRAS := $(or $(shell cat $(VENV)/.extras 2>/dev/null),dev)
endif

PIP := -m pip --disable-pip-version-check --no-input --retries 1
PIP_INSTALL = $(PIP) install $(if $(VERBOSE),,--quiet --quiet)
INSTALLED := $(VENV)/.installed-$(TORCH)$(patsubst %,-%,$(filter-out dev,$(EXTRAS)))

# The oldest packages that pyproject.toml allows: an environment of its own, and tests of what meets them.
OLDEST := .cache/oldest
OLDEST_TESTS ?= tests/unit/app/config tests/unit/core tests/unit/data tests/unit/degradations \
  tests/unit/metrics tests/unit/optim tests/unit/training tests/unit/weights

# Tests run in TEST_JOBS processes of one thread each: quicker than one process of many threads.
TEST_JOBS ?= 2
# Where a test asks for more threads, idle ones sleep: by default they spin, on processors that others need.
# Python writes compiled files, whatever the surroundings say, for the processes that tests start.
PYTEST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n $(TEST_JOBS)

# Not tests: they misspell on purpose.
SPELLED := $(wildcard src conf docs experiments *.md)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo smoke test test-long test-all test-oldest card gpu contract lint types layers check report docs fix audit lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  PYTHON=python3.12   the Python that .venv is made with (3.11 or newer)"
	@echo "  TORCH=cu126         torch for this CUDA; TORCH=default the package index's; now: $(TORCH)"
	@echo "  EXTRAS=dev,openvino the extras of pyproject.toml that are installed; now: $(EXTRAS)"
	@echo "  VERBOSE=1           show all that pip says"

install: $(INSTALLED)  ## Make .venv and install everything; TORCH=cu126 for a GPU
	@echo "Ready: $(VENV) with torch $(TORCH_VERSION) ($(TORCH))."

# bf16 takes ten times as long where a processor only emulates it: there the demo trains in float32.
QUICK = $(shell $(PY) -c 'from src.core.origin import emulates_bf16; print("trainer=cpu" * emulates_bf16())')

demo: $(INSTALLED)  ## Train a small denoiser on photographs, print a table, write a picture
	$(PY) -m src.train experiment=demo $(QUICK)
	$(PY) -m src.evaluate checkpoint=outputs/demo picture=outputs/demo/before_after.png

smoke: $(INSTALLED)  ## Two real training steps: make smoke TASK=denoise MODEL=panet
	$(PY) -m src.train task=$(or $(TASK),denoise) model=$(or $(MODEL),panet_tiny) debug=smoke

test: $(INSTALLED)  ## Run the quick tests; ARGS="-k word" goes to pytest
	$(PYTEST) -m "not slow and not long" $(ARGS)

test-long: $(INSTALLED)  ## Run those of 0.7 s and more, which CI runs too
	$(PYTEST) -m "long and not slow" $(ARGS)

test-all: $(INSTALLED)  ## Run every test
	$(PYTEST) $(ARGS)

# PATH is also where the shell looks for programs, which are those of the system here.
contract:  ## Test networks and attention blocks of yours: make contract PATH=<their conf>
ifneq ($(origin PATH),command line)
	@echo "make contract PATH=<folder>: a folder like conf/, with model/*.yaml or model/attention/*.yaml;"
	@echo "  the Python files are in it or beside it"; exit 2
else
	@export PATH="$$(/usr/bin/getconf PATH)" EXEMPLAR_PARTS="$(PATH)" \
	    PYTHONPATH="$(PATH):$(dir $(PATH:/=)):$$PYTHONPATH"; \
	  $(PYTEST) tests/unit/models/test_contracts.py tests/unit/models/test_trunks.py \
	    -k "test_contracts or test_recompute" $(ARGS) && \
	  $(PY) -m src.catalog models attention --config-dir="$(PATH)"
endif

test-oldest: $(OLDEST)/.installed  ## Train two steps and run quick tests with the oldest packages allowed
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m src.train task=denoise model=panet_tiny debug=smoke
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -W default -n $(TEST_JOBS) -m "not slow" \
	  -o cache_dir=$(OLDEST)/pytest $(OLDEST_TESTS) $(ARGS)

# before anything is installed
card:
	@command -v nvidia-smi > /dev/null || { echo "make gpu: there is no NVIDIA driver here (no nvidia-smi); run it where a card is."; exit 1; }

gpu: card $(INSTALLED)  ## Test and measure what needs a CUDA GPU, in under 9 minutes (make install TORCH=cu126 first)
	$(PY) -m tools.gpu

lint: $(INSTALLED)  ## Style and spelling
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib $(SPELLED)

types: $(INSTALLED)  ## Static types, strict
	$(PY) -m mypy

layers: $(INSTALLED)  ## Imports point one way
	$(VENV)/bin/lint-imports --no-logo

report: $(INSTALLED)  ## Rewrite the papers' tables from experiments/*/results
	$(PY) -m src.report

docs: $(INSTALLED)  ## Build the documentation as a site, links checked, nothing fetched
	$(PY) -m tools.site

check: lint types layers test  ## All that must be green before a change goes in

fix: $(INSTALLED)  ## Format, and mend what ruff can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# pip-audit is in an environment of its own: nothing that is shipped needs it.
audit: AUDIT := .cache/audit
audit: $(INSTALLED)  ## Look the pinned packages up among known vulnerabilities, where that can be reached
	@test -x $(AUDIT)/bin/pip-audit || { "$(PYTHON)" -m venv $(AUDIT) && $(AUDIT)/bin/python $(PIP_INSTALL) pip-audit; } || \
	  echo "pip-audit could not be installed." >&2
	@test ! -x $(AUDIT)/bin/pip-audit || $(PY) -m tools.audit $(AUDIT)/bin/pip-audit

lock: TMP := .cache/lock
lock:  ## Rewrite constraints.txt with the newest versions that pyproject.toml allows
	rm -rf $(TMP)
	"$(PYTHON)" -m venv $(TMP)
	$(TMP)/bin/python $(PIP_INSTALL) --no-deps $(TORCH_WHEEL)
	$(TMP)/bin/python $(PIP_INSTALL) --editable '.[dev,openvino]' 'torch==$(TORCH_VERSION)'
	@echo "# Exact versions of all that \`make install\` and the extra openvino install, as tested on Linux without a GPU." > $(TMP)/new
	@echo "# Made by \`make lock\`; another torch: \`make lock TORCH_VERSION=…\`. Do not edit." >> $(TMP)/new
	@echo "# torch stands without its build (+cpu, +cu126): the Makefile's TORCH adds it." >> $(TMP)/new
	$(TMP)/bin/python $(PIP) freeze --all --exclude-editable --exclude pip > $(TMP)/freeze
	sed 's/+[A-Za-z0-9.]*$$//' $(TMP)/freeze >> $(TMP)/new
	mv $(TMP)/new constraints.txt
	rm -rf $(TMP)

clean:  ## Remove caches and build leftovers; keeps outputs/ and .venv
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage build *.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Every step may be killed at any point and run again: pip writes INSTALLER among the last files of
# a package, so what lacks it was cut short and is forgotten, and pip installs it over what is there.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "exemplar: preparing $(VENV) (torch $(TORCH_VERSION), build $(TORCH))"
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$("$(PYTHON)" --version 2>/dev/null) || found="no Python"; \
	  echo "$(PYTHON) is $$found; Python 3.11 or newer is needed." >&2; \
	  echo "Install one and name it: make install PYTHON=python3.12" >&2; exit 1; }
	@for info in $(VENV)/lib/python3*/site-packages/*.dist-info; do \
	  if [ -d "$$info" ] && [ ! -f "$$info/INSTALLER" ]; then \
	    echo "  cut short earlier, done again: $${info##*/}"; rm -rf "$$info"; fi; \
	done; rm -rf $(VENV)/lib/python3*/site-packages/~*
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  echo "  1/3 virtual environment"; \
	  "$(PYTHON)" -m venv $$($(PY) -c '' 2>/dev/null || echo --clear) $(VENV) || { \
	    echo "Python could not make $(VENV); the lines above say why." >&2; exit 1; }; fi
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(VENV) was made with $$($(PY) --version); 3.11 or newer is needed: rm -rf $(VENV)" >&2; \
	  exit 1; }
	@rm -f $(VENV)/.installed-*
	@echo "$(TORCH)" > $(VENV)/.torch; echo "$(EXTRAS)" > $(VENV)/.extras
	@echo "  2/3 torch (the CPU build is a download of about 200 MB)"
	@$(PY) $(PIP_INSTALL) --no-deps $(TORCH_WHEEL) || { \
	  echo "torch $(TORCH_VERSION) could not be installed as build '$(TORCH)'." >&2; \
	  echo "Running make again goes on from here; make install TORCH=cpu (cu126, default) changes" >&2; \
	  echo "the build; behind a mirror give TORCH_INDEX=URL. More: docs/how-to/install.md" >&2; exit 1; }
	@echo "  3/3 the other packages, versions of constraints.txt"
	@$(PY) $(PIP_INSTALL) --constraint constraints.txt --editable '.[$(EXTRAS)]' || { \
	  echo "The install stopped; running make again goes on from here." >&2; exit 1; }
	@touch $@

# Deprecations in old releases are not our business, hence -W default above. torch comes alone, as for .venv.
$(OLDEST)/.installed: TORCH_VERSION = $$(sed -n 's/^torch==//p' $(OLDEST)/requirements.txt)
$(OLDEST)/.installed: pyproject.toml tools/oldest.py $(INSTALLED)
	rm -rf $(OLDEST)
	"$(PYTHON)" -m venv $(OLDEST)
	$(PY) -m tools.oldest test > $(OLDEST)/requirements.txt
	$(OLDEST)/bin/python $(PIP_INSTALL) --no-deps $(TORCH_WHEEL)
	$(OLDEST)/bin/python $(PIP_INSTALL) --requirement $(OLDEST)/requirements.txt
	@touch $@
