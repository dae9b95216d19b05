# The course's commands. On Windows, or without make: see README.md.
#
#   make run                             every lesson, in French
#   make run LESSON=3 EDITION=en         lesson 3, in English
#   make run LESSON="1 3" PROFILE=quick  two lessons, with the parameters of profiles/quick.toml
#   make badges REPO=owner/name          the repository's address, wherever it is shown

LESSON  ?=
EDITION ?= fr
PROFILE ?=
REPO    ?=
# The Python that makes .venv: 3.11 or newer.
PYTHON  ?= python3

VENV    := .venv
PY      := $(VENV)/bin/python
# What .venv was made from is in the stamp's name. So a clone or a touch, which change dates and
# not contents, install nothing again, and a changed pin always does.
CONTENT := $(shell cat requirements.txt pyproject.toml | cksum | cut -d ' ' -f 1)
READY   := $(VENV)/installed-$(CONTENT)

.DEFAULT_GOAL := help
.PHONY: help install run check test test-browser test-cluster lab site student badges colab images \
	messages format pins clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'
	@echo
	@sed -n 's/^#   //p' Makefile

install: $(READY) ## make .venv, and install in it what requirements.txt pins

run: $(READY) ## run the lessons; notebooks, pages and index.html go to build/ (LESSON, EDITION, PROFILE)
	@$(PY) -m course run --language $(EDITION) $(if $(LESSON),--lesson $(LESSON)) $(if $(PROFILE),--profile $(PROFILE))

check: $(READY) ## check in a few minutes: lint, types and the tests that are not slow
	@$(PY) -m course test --fast

test: $(READY) ## check everything: lint, types, unit tests, doctests, both editions of the lessons
	@$(PY) -m course test

test-browser: $(READY) ## run the lessons in JupyterLab, in a browser: Chromium, fetched if there is none
	@$(PY) -m course test --browser

test-cluster: $(READY) ## run sweeps on a Slurm of one node, started for them, and have its jobs fail
	@$(PY) -m course test --cluster

lab: $(READY) ## open JupyterLab on the first lesson (EDITION)
	@$(PY) -m course lab --language $(EDITION)

site: $(READY) ## build the web edition, in both languages, from the lessons' stored outputs
	@$(PY) -m course site

student: $(READY) ## write the lessons without their solutions to build/student/ (LESSON, EDITION)
	@$(PY) -m course student --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

badges: $(READY) ## write the repository's address where it is shown: badges, first cells, citation (REPO)
	@test -n '$(REPO)' || { \
	  echo "Say which repository on GitHub: make badges REPO=owner/name" >&2; \
	  exit 1; }
	@$(PY) -m course badges --repo '$(REPO)'

colab: $(READY) ## run the lessons under Colab's versions, made under build/ (LESSON, EDITION)
	@$(PY) .ci/colab.py --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

images: $(READY) ## draw the pictures of images/ anew from the modules, and their gallery
	@$(PY) -m course images

messages: $(READY) ## bring the catalogues of French messages in line with the code, and compile them
	@$(PY) -m course messages

format: $(READY) ## put the code, the lessons' too, in the project's layout
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

pins: $(READY) ## choose the newest versions that pyproject.toml allows and write requirements.txt
	$(PY) -m uv pip compile --upgrade --output-file requirements.txt pyproject.toml

clean: ## remove what run, site and test made; .venv, data and the records of experiments stay
	rm -rf build/fr build/en build/student build/site build/site-sources build/links build/browser build/test-* build/index.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find course course_utils tests -name __pycache__ -prune -exec rm -rf {} +

$(READY):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python was not found: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "This course needs Python 3.11 or newer, and " + sys.executable + " is Python " + sys.version.split()[0] + ": name a newer one, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -r requirements.txt -e .
	@rm -f $(VENV)/installed-*
	@touch $@
