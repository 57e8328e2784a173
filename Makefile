# Everything a person types. `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# Two processes that each use all cores are slower than one: tests run in as many processes as there are cores.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: help pipeline demo demo-real demo-retrain test test-fast test-docker images check lint docs format install clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(INSTALLED)  ## draw a small world, train on it, measure, register (5 to 12 minutes on 2 cores)
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "this folder is not a git repository, and DVC needs one: run 'git init' in it" >&2; exit 2; }
	dvc repro
	@omnidet summary --metrics metrics/evaluation.json --registry registry --report runs/demo/report.html

DATA ?= data/coco
EXTRA ?=
demo-real: $(INSTALLED)  ## the same on a folder in COCO's layout: make demo-real DATA=folder [EXTRA="cc12m=folder ..."]
	omnidet shards --recipe coco_folder --data "$(DATA)" $(foreach path,$(EXTRA),--path "$(path)") --out runs/real/shards
	omnidet vocabulary --recipe coco_folder --shards runs/real/shards --out runs/real/vocabulary
	omnidet train --recipe coco_folder --shards runs/real/shards --vocabulary runs/real/vocabulary --out runs/real/model
	omnidet evaluate --recipe coco_folder --model runs/real/model --shards runs/real/shards --metrics runs/real/evaluation.json --out runs/real/evaluation
	omnidet report --recipe coco_folder --model runs/real/model --shards runs/real/shards --evaluation runs/real/evaluation --out runs/real/report.html
	omnidet register --recipe coco_folder --model runs/real/model --metrics runs/real/evaluation.json --registry registry
	@omnidet summary --metrics runs/real/evaluation.json --registry registry --report runs/real/report.html

demo-retrain: $(INSTALLED)  ## teach the demo's detector what a folder shows, after make demo: make demo-retrain DATA=folder
	omnidet finetune "$(DATA)" --from omnidet-tiny-world@champion --steps 700

test: $(INSTALLED)  ## all tests except those of the container images (15 to 25 minutes on 2 cores)
	$(ONE_THREAD) pytest -n 2 --dist worksteal -m "not docker"

test-fast: $(INSTALLED)  ## the fast tests (about a minute)
	$(ONE_THREAD) pytest -n 2 --dist worksteal -m "not slow and not s3 and not docker"

test-docker: $(INSTALLED)  ## build the images and run steps and the pipeline in them (needs root and a Docker engine)
	pytest -m docker

images: $(INSTALLED)  ## build the container images of the pipeline's steps
	containers/build

lint: $(INSTALLED)  ## style, types, import contracts, compiled pipelines
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m pipelines compile --check

check: lint docs test  ## what a change must pass: lint, docs and test

# Never with --quiet: mkdocs then hides warnings from its own strict mode.
docs: $(INSTALLED)  ## build the documentation site into build/site; broken links are errors
	python docs/commands.py docs/reference/commands.md
	NO_MKDOCS_2_WARNING=1 mkdocs build

pipeline: $(INSTALLED)  ## compile the pipelines into pipelines/compiled
	python -m pipelines compile

format: $(INSTALLED)  ## put files into the house style
	ruff check --fix .
	ruff format .

install: $(INSTALLED)  ## make .venv with pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

clean:  ## remove what the demo made (the registry stays)
	rm -rf data runs metrics .cache
