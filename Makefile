# make run    set everything up, then run the whole chain at sample scale
# make test   set everything up, then run the tests
# make clean  delete what the sample run has made; nothing of the full scale
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all

.PHONY: run test test-sample test-faults test-devices test-real test-slurm lint schema lock clean

run: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1

# The files that have tests with a mark: pytest need not import all others to find none.
marked = $(shell grep -rl --include="*.py" "mark\.$(1)" tests)

# In the order of tests/conftest.py (xdist would begin with the files of most tests). The workflow's trainings are short.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  -m "not real and not slurm and not faults and not devices"

# The tests of the sample run after trainings of their full lengths, as `make run` has them.
test-sample: $(VENV)/installed
	SEGREPRO_TESTS=full $(BIN)/python -m pytest -rs tests/workflow/test_sample_run.py

# Jobs killed at random moments, disks that are really full (root mounts them); takes minutes.
test-faults: $(VENV)/installed
	$(BIN)/python -m pytest -m faults -rs $(call marked,faults)

# Small DeepLabv3, DeconvNet and FCN networks on 2, 4 and 8 virtual devices; takes six minutes.
test-devices: $(VENV)/installed
	$(BIN)/python -m pytest -m devices -rs $(call marked,devices)

# Real pictures in the official archives' layouts, in the folder SEGREPRO_REAL_SUBSET; takes a quarter of an hour. With
# SEGREPRO_VGG16, a file of VGG16's weights, report 1's networks too: an hour and a half more; with SEGREPRO_REAL_MORE and
# SEGREPRO_REAL_WEIGHTS the small scale: four hours more (docs/data.md).
# TRAININGS=short: minutes, as .ci/run does it; fewer steps and pictures, and without report 1.
TRAININGS ?= full
test-real: $(VENV)/installed
	SEGREPRO_TESTS=$(TRAININGS) $(BIN)/python -m pytest -m real -rs $(call marked,real)

# A throw-away Slurm of one node on this machine; as root, with Debian's slurm-wlm and munge. Skipped without them.
test-slurm: $(VENV)/installed
	$(BIN)/python -m pytest -m slurm -rs tests/cluster

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

schema: $(VENV)/installed
	$(BIN)/segrepro schema --out workflow/schemas/config.schema.json

# pydensecrf2 is compiled with the pinned tools of requirements-build.lock: the Cython that it asks for knows no Python 3.13.
$(VENV)/installed: requirements.lock $(wildcard requirements-build.lock) pyproject.toml
	@$(PYTHON) -c '' 2> /dev/null || { \
	  for found in python3.13 python3.12 python3.11 python3; do $$found -c '' 2> /dev/null && break; found=; done; \
	  echo "$(PYTHON): cannot be run; $${found:+call make PYTHON=$$found, or }install Python 3.11, 3.12 or 3.13."; exit 1; }
	@$(PYTHON) envs/prerequisites.py
	@echo "installing into $(VENV), which takes two to four minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-build.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	touch $@

# New pins for the lock files and the conda environments, from pyproject.toml.
PINS := $(BIN)/uv pip compile pyproject.toml --extra tensorboard --quiet --universal --no-header --no-annotate --python-version 3.11
lock: $(VENV)/installed
	printf 'cython>=3.1\nsetuptools>=77\nwheel\n' | $(subst pyproject.toml --extra tensorboard,-,$(PINS)) \
	  --constraints requirements.lock --generate-hashes --output-file requirements-build.lock
	$(PINS) --extra dev --extra cluster --generate-hashes --output-file requirements.lock
	$(PINS) --extra gpu --constraints requirements.lock --generate-hashes --output-file requirements-gpu.lock
	for kind in cpu gpu; do \
	  extra=$$([ $$kind = gpu ] && echo --extra gpu); \
	  { cat envs/header.txt; $(PINS) $$extra --constraints requirements.lock | sed 's/.*/      - "&"/'; } \
	    > envs/$$kind.yaml; \
	done

# What the sample run has made. results/full, weeks of models, stays, and with it Snakemake's records of how it was made;
# who wants to lose them deletes them by name.
clean:
	rm -rf data/sample
	find results -mindepth 1 -maxdepth 1 ! -name full ! -name README.md -exec rm -rf {} +
	@if [ -e results/full ]; then echo "results/full and .snakemake are kept: delete them by hand"; \
	  else echo "rm -rf .snakemake"; rm -rf .snakemake; fi
