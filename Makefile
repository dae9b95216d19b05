# The course's commands. On Windows, or without make: see README.md.
#
#   make run                             every lesson, in French
#   make run LESSON=3 EDITION=en         lesson 3, in English
#   make run LESSON="1 3" PROFILE=quick  two lessons, with the parameters of profiles/quick.toml
#   make lab LESSON=3 EDITION=en         lesson 3 in JupyterLab, in English
#   make badges REPO=owner/name          the repository's address, wherever it is shown
#   make install TORCH=cpu               torch without NVIDIA's libraries; gpu is with them

LESSON  ?=
EDITION ?= fr
PROFILE ?=
REPO    ?=
FOLDER  ?=
# torch's build: cpu, gpu or the address of an index. Not given: the one that is there, else the one
# that suits this machine.
TORCH   ?=
# yes: new copies of the lessons to work in.
AFRESH  ?=
# The Python that makes .venv, of those that pyproject.toml names.
PYTHON  ?= python3

VENV    := .venv
PY      := $(VENV)/bin/python
# What .venv was made from is in the stamp's name. So a clone or a touch, which change dates and
# not contents, install nothing again, and a changed pin always does.
content  = $(shell cat pyproject.toml $(1) | cksum | cut -d ' ' -f 1)
READY   := $(VENV)/installed-$(call content,requirements.txt)
# With what the course is written and checked with.
DEV     := $(VENV)/installed-dev-$(call content,requirements-dev.txt)

.DEFAULT_GOAL := help
.PHONY: help install run check test test-browser test-cluster lab site student assignments grade gift \
	slides badges colab images data messages format pins clean $(if $(TORCH),$(READY) $(DEV))

# What each command uses beside PYTHON and TORCH, which choose what .venv is made of.
USES_run     := LESSON EDITION PROFILE
USES_lab     := LESSON EDITION AFRESH
USES_student := LESSON EDITION
USES_assignments := LESSON EDITION
USES_gift    := LESSON EDITION
USES_slides  := LESSON EDITION
USES_grade   := FOLDER EDITION
USES_colab   := LESSON EDITION
USES_badges  := REPO
given   := $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name)))
goals   := $(or $(MAKECMDGOALS),help)
unused  := $(filter-out PYTHON TORCH $(foreach goal,$(goals),$(USES_$(goal))),$(given))
ifneq ($(unused),)
$(error make $(goals) does not use $(unused); it uses \
	$(sort PYTHON TORCH $(foreach goal,$(goals),$(USES_$(goal)))))
endif

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'
	@echo
	@sed -n 's/^#   //p' Makefile

install: $(READY) ## make .venv, and install in it what the lessons need (TORCH)

run: $(READY) ## run the lessons; notebooks, pages and index.html go to build/ (LESSON, EDITION, PROFILE)
	@$(PY) -m course run --language $(EDITION) $(if $(LESSON),--lesson $(LESSON)) $(if $(PROFILE),--profile $(PROFILE))

check: $(DEV) ## check in a few minutes: lint, types and the tests that are not slow
	@$(PY) -m course test --fast

test: $(DEV) ## check everything: lint, types, unit tests, doctests, both editions of the lessons
	@$(PY) -m course test

test-browser: $(DEV) ## run the lessons in JupyterLab, in a browser: Chromium, fetched if there is none
	@$(PY) -m course test --browser

test-cluster: $(DEV) ## run sweeps on a Slurm of one node, started for them, and have its jobs fail
	@$(PY) -m course test --cluster

lab: $(READY) ## open JupyterLab on your copies of the lessons, in work/ (LESSON, EDITION, AFRESH)
	@$(PY) -m course lab --language $(EDITION) $(if $(LESSON),--lesson $(LESSON)) $(if $(AFRESH),--afresh)

data: $(READY) ## fetch CIFAR-10 into data/, for the profiles gpu and paper
	@$(PY) -m course_utils data cifar10

site: $(DEV) ## build the web edition, in both languages, from the lessons' stored outputs
	@$(PY) -m course site

student: $(READY) ## write the lessons without their solutions to build/student/ (LESSON, EDITION)
	@$(PY) -m course student --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

assignments: $(READY) ## write the lessons as assignments to mark to build/assignments/ (LESSON, EDITION)
	@$(PY) -m course assignments --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

grade: $(READY) ## mark what students handed in; marks.csv goes beside it (FOLDER, EDITION)
	@test -n '$(FOLDER)' || { \
	  echo "Say where the students' notebooks are: make grade FOLDER=submitted" >&2; \
	  exit 1; }
	@$(PY) -m course grade '$(FOLDER)' --language $(EDITION)

gift: $(READY) ## write the quizzes for Moodle to build/gift/ (LESSON, EDITION)
	@$(PY) -m course gift --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

slides: $(READY) ## write the lessons as slides to build/slides/ (LESSON, EDITION)
	@$(PY) -m course slides --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

badges: $(READY) ## write the repository's address where it is shown: badges, first cells, citation (REPO)
	@test -n '$(REPO)' || { \
	  echo "Say which repository on GitHub: make badges REPO=owner/name" >&2; \
	  exit 1; }
	@$(PY) -m course badges --repo '$(REPO)'

colab: $(DEV) ## run the lessons under Colab's versions, made under build/ (LESSON, EDITION)
	@$(PY) .ci/colab.py --language $(EDITION) $(if $(LESSON),--lesson $(LESSON))

images: $(DEV) ## draw the pictures of images/ anew from the modules, and their gallery
	@$(PY) -m course images

messages: $(DEV) ## bring the catalogues of French messages in line with the code, and compile them
	@$(PY) -m course messages

format: $(DEV) ## put the code, the lessons' too, in the project's layout
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

pins: $(DEV) ## choose the newest versions that pyproject.toml allows and write both files of pins
	$(PY) -m uv pip compile --upgrade --extra dev --output-file requirements-dev.txt pyproject.toml
	$(PY) -m uv pip compile --upgrade --extra run --constraint requirements-dev.txt \
		--output-file requirements.txt pyproject.toml

clean: ## remove what run, site and test made; .venv, data and the records of experiments stay
	rm -rf build/fr build/en build/student build/assignments build/gift build/slides build/site build/site-sources build/links build/browser build/test-* build/index.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find course course_utils tests -name __pycache__ -prune -exec rm -rf {} +

$(READY) $(DEV): what = $(if $(findstring dev,$@),--dev)
$(READY) $(DEV):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python was not found: install it, or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@COURSE_LANGUAGE=$(EDITION) $(PYTHON) -m course install $(what) $(if $(TORCH),--torch $(TORCH))
	@rm -f $(VENV)/installed-*
	@touch $(READY) $(if $(what),$(DEV))
