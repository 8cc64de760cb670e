# Everything runs in .venv, made from requirements.txt; `make` alone lists the targets.

PYTHON ?= python3
SCALE ?= laptop
PORT ?= 8000
BOOK := .venv/bin/book
# What works before anything is installed.
FOLDERS := PYTHONPATH=lib "$(PYTHON)" -m collapse.book.folders

# Settings reach the commands through the environment, so that no blank or quote in them is lost.
export NAME ID PARAMS SCALE PORT
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_DISABLE_TELEMETRY = 1
# Threads decide the order of sums: with one, as for the records, a rerun has the same bits.
export OMP_NUM_THREADS ?= 1
export PYTHONWARNINGS = ignore:IProgress

# A misspelt setting would be ignored, and something else computed.
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $(v))),$(v)))
UNKNOWN := $(filter-out PYTHON SCALE PORT NAME ID PARAMS SHELL -% MAKE% COLLAPSE_% HF_% PIP_% OMP_%,$(GIVEN))
ifneq ($(strip $(UNKNOWN)),)
$(error there is no setting $(firstword $(UNKNOWN)); the settings are NAME, ID, PARAMS, SCALE, PORT and PYTHON)
endif

.DEFAULT_GOAL := help
.PHONY: named help install book test chapter figure records bench pdf serve audit lint clean overnight

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

install:  ## install everything into .venv
	@"$(PYTHON)" .ci/install.py

book: install  ## fetch the text, run all chapters at laptop scale, build the pages
	$(BOOK) assets
	$(BOOK) run --scale laptop
	$(BOOK) site

test: install lint  ## check the code and run the tests, on two cores and without a network
	@.venv/bin/python .ci/test.py

lint: install  ## check style and types, and which room imports which
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

# `book compare` says 3 where there is nothing to compare, which is no failure of the chapter.
chapter: named install  ## run one chapter: make chapter NAME=no-retention PARAMS="seed=3 epochs=2" [SCALE=laptop]
	BOOK_PARAMS="$$PARAMS" $(BOOK) run "$$NAME" --scale "$$SCALE"
	@$(BOOK) site --again
	@BOOK_PARAMS="$$PARAMS" $(BOOK) compare "$$NAME" --scale "$$SCALE" || [ $$? -eq 3 ]

named:
	@case "$$NAME" in \
	'') echo 'Name a chapter: make chapter NAME=no-retention PARAMS="seed=3" SCALE=laptop' >&2; exit 2;; \
	*[[:space:]]*) echo "NAME='$$NAME' is not one chapter; give make chapter once for each" >&2; exit 2;; \
	esac

figure: install  ## make one figure again: make figure ID=fig-one-axis [PARAMS="seed=3"] [SCALE=laptop]
	@if [ -z "$$ID" ]; then echo 'Name a figure: make figure ID=fig-one-axis' >&2; exit 2; fi
	BOOK_PARAMS="$$PARAMS" $(BOOK) figure "$$ID" --scale "$$SCALE"

overnight: install  ## run both settings with SmolLM2-135M, a night on two cores; stopped, it goes on
	$(BOOK) assets
	$(BOOK) sweep no-retention ten-percent-retention --scale overnight --workers 2
	$(BOOK) run no-retention ten-percent-retention --scale overnight
	@$(BOOK) site --again

records: install  ## compute the committed laptop-scale records again, and publish them in records/
	$(BOOK) assets
	$(BOOK) recompute

bench: install  ## measure how fast the loop is, against the usual ways of doing it
	@.venv/bin/python -m pip install --quiet -e './lib[bench]' || echo "CTranslate2 cannot be had; going on without it."
	$(BOOK) assets
	$(BOOK) bench
	$(BOOK) run how-fast --scale laptop --force
	@$(BOOK) site --again

pdf: install  ## print the book that was built into one PDF, with Chromium
	$(BOOK) pdf

serve:  ## show the pages in a browser
	@$(FOLDERS) serve "$$PORT"

audit:  ## let Lighthouse and a validator of HTML judge the pages that were built, with npm
	@.venv/bin/python .ci/audit.py

clean:  ## remove what was built and the finished generations
	@$(FOLDERS) clean
