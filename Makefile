# All targets work in .venv, which is made from the pinned versions of requirements/.
# Requires Python 3.11 or 3.12, git and make. Uses uv if it is installed; otherwise pip installs it into .venv.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
UV_INSTALL = $(UV) pip install --python $(BIN)/python

# Let uv use the certificates of the system, as git and pip do.
export UV_SYSTEM_CERTS ?= true

SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3,\
	$(shell $(python) -c '$(SUITABLE)' 2>/dev/null && echo $(python))))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo sample-report test test-all test-cluster chaos test-image lint docs docs-links bench coverage \
	lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## install walking_noise and its pinned dependencies into .venv (about 5 GB)

demo: install  ## from a SEML grid to the midpoint table and the report, on real digits
	$(BIN)/walking-noise demo

sample-report: demo  ## make docs/sample_report.html again, from the runs of the demo
	$(BIN)/walking-noise db start --folder .demo
	eval "$$($(BIN)/walking-noise db env --folder .demo)"; \
		$(BIN)/python -m analysis.report demo --out .demo/report --copy docs/sample_report.html; \
		code=$$?; $(BIN)/walking-noise db stop --folder .demo; exit $$code

TIER := -m 'not slow'

test: install  ## run all tests but the slow ones (10 minutes on two quiet cores); select some with ARGS="-k noise"
	$(BIN)/pytest --ignore tests/cluster --numprocesses auto --dist loadfile --no-loadscope-reorder $(TIER) $(ARGS)

test-all: install  ## run every test (27 minutes on two slow cores), those on a private Slurm at the same time
	$(MAKE) --jobs=2 --output-sync test test-cluster TIER=

test-cluster: install  ## run the tests on a private Slurm: needs Debian's slurmctld, slurmd, slurm-client and munge
	$(BIN)/pytest tests/cluster --timeout 1200 $(ARGS)

chaos: install  ## train 500 runs on a private Slurm while 50 processes are killed, and count what is lost (20 minutes)
	$(BIN)/python -m tests.cluster.chaos $(ARGS)

test-image: install  ## build the worker's image and train in it; root on Debian or Ubuntu, 5 minutes, 26 GiB of disk
	tests/docker/image.sh

lint: install  ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile docker/omniboard/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.tls.yaml
	$(BIN)/shellcheck .ci/run docker/install.sh docker/apptainer/python tests/docker/image.sh experiments/worker/*.sh

docs: install  ## build the documentation site in build/docs; a dead link or an unknown name is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

docs-links: install  ## check the links of the site to other sites; needs Internet access
	$(BIN)/sphinx-build --quiet -b linkcheck docs build/docs-links

bench: install  ## packs against other ways to train, then the measurements of tests/benchmarks
	$(BIN)/python -m tests.benchmarks.peers
	$(BIN)/pytest tests/benchmarks --override-ini python_files='bench_*.py' --override-ini timeout=0 --capture=no $(ARGS)

coverage: install  ## how often the intervals of the midpoint contain the true value, in simulated and real studies
	$(BIN)/python -m tests.coverage $(ARGS)
	$(BIN)/python -m tests.coverage.plateaus
	$(BIN)/python -m tests.coverage.contrasts
	$(BIN)/python -m tests.coverage.refining $(ARGS)

lock: | $(UV)  ## pin the newest versions that pyproject.toml allows
	$(COMPILE) pyproject.toml --all-extras --output-file requirements/lock.txt
	$(COMPILE) pyproject.toml --extra worker --constraint requirements/lock.txt --output-file requirements/worker.txt
	echo uv | $(COMPILE) - --output-file requirements/uv.txt

clean:  ## remove the environment, the caches and the files of the demo
	@[ ! -d .demo ] || [ ! -x $(BIN)/walking-noise ] || $(BIN)/walking-noise db stop --folder .demo
	rm -rf $(VENV) .demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE = $(UV) pip compile --quiet --upgrade --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command 'make lock' --python-version 3.11 --python-platform x86_64-manylinux_2_28

$(INSTALLED): pyproject.toml requirements/lock.txt walking_noise/version.py | $(BIN)/python $(UV)
	$(UV_INSTALL) --require-hashes --requirements requirements/lock.txt
	$(UV_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "make: no Python 3.11 or 3.12 found; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --without-pip --clear $(VENV)

$(BIN)/uv: | $(BIN)/python
	@$(BIN)/python -c 'import ensurepip' 2>/dev/null || { \
		echo "make: $(PYTHON) lacks ensurepip; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --require-hashes --requirement requirements/uv.txt
