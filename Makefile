# Everything runs in .venv, made from requirements.txt; `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BOOK := $(VENV)/bin/book
STAMP := $(VENV)/.installed
BUILD := $(or $(COLLAPSE_BUILD),_build)
CACHE := $(or $(COLLAPSE_CACHE),.cache)
SCALE ?= laptop
PORT ?= 8000

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_DISABLE_TELEMETRY = 1
export PYTHONWARNINGS = ignore:IProgress

.DEFAULT_GOAL := help
.PHONY: named help install book test chapter figure records bench pdf serve lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## install everything into .venv

# A killed installation may leave half a package that pip takes for whole: start afresh then.
# What was downloaded is in pip's cache.
$(STAMP): requirements.txt lib/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This book needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11")'
	@if [ -e $(VENV)/.installing ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(VENV)/.installing
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps -e ./lib
	@rm $(VENV)/.installing && touch $@

book: install  ## fetch the text, run all chapters at laptop scale, build the pages
	$(BOOK) assets
	$(BOOK) run --scale laptop
	$(BOOK) site

test: install lint  ## check the style and run the tests, without a network
	HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 $(VENV)/bin/python -m pytest

lint: install  ## check the style
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

chapter: named install  ## run one chapter: make chapter NAME=no-retention PARAMS="seed=3 epochs=2" [SCALE=laptop]
	$(BOOK) run $(NAME) --scale $(SCALE) $(foreach p,$(PARAMS),-p '$(p)')
	@if [ -d $(BUILD)/html ]; then $(BOOK) site; else echo "Figures are in $(BUILD)/figures; 'make book' makes the pages."; fi
	@$(BOOK) compare $(NAME) --scale $(SCALE) $(foreach p,$(PARAMS),-p '$(p)')

named:
	@if [ -z "$(NAME)" ]; then echo 'Name a chapter: make chapter NAME=no-retention PARAMS="seed=3" SCALE=laptop' >&2; exit 2; fi

figure: install  ## make one figure again: make figure ID=fig-results [PARAMS="seed=3"] [SCALE=laptop]
	@if [ -z "$(ID)" ]; then echo 'Name a figure: make figure ID=fig-results' >&2; exit 2; fi
	$(BOOK) figure $(ID) --scale $(SCALE) $(foreach p,$(PARAMS),-p '$(p)')

records: install  ## compute the committed laptop-scale records again, and publish them in records/
	$(BOOK) assets
	$(BOOK) recompute --scale laptop

bench: install  ## measure how fast the loop is, against the usual ways of doing it
	@$(VENV)/bin/python -m pip install --quiet -e './lib[bench]' || echo "CTranslate2 cannot be had; going on without it."
	$(BOOK) assets
	$(BOOK) bench
	$(BOOK) run how-fast --scale laptop --force
	@if [ -d $(BUILD)/html ]; then $(BOOK) site; fi

pdf: install  ## print the book that was built into one PDF, with Chromium
	$(BOOK) pdf

serve:  ## show the pages in a browser
	@if [ ! -e $(BUILD)/html/index.html ]; then echo "There are no pages yet; run 'make book' first." >&2; exit 2; fi
	@echo "http://localhost:$(PORT)/  (Ctrl-C stops)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory $(BUILD)/html

clean:  ## remove what was built and the finished generations
	rm -rf $(BUILD) $(CACHE)/generations
	@echo "Kept: $(CACHE) (downloads) and $(VENV); delete them with: rm -rf $(CACHE) $(VENV)"
