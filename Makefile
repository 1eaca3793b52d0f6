# One environment in .venv, made once from constraints.txt; everything else runs inside it.

PYTHON ?=
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check style types fast-tests bench gpu-tables clean

help:
	@echo "make demo    set up, then the whole job on data that ships with scikit-learn; prints the report's path"
	@echo "make test    set up, then every test; COVERAGE=1 shows at the end what they have not reached"
	@echo "make check   set up, then format, lint, types and the fast tests"
	@echo "make bench   set up, then every benchmark, in under 20 minutes on two cores; writes benchmarks/README.md"
	@echo "make gpu-tables  set up, then the tables in TABLES for MINUTES, WORKERS runs at once; give it again until it succeeds"
	@echo "make setup   the environment in .venv (PYTHON=/path/to/python3 to choose the interpreter)"
	@echo "make clean   remove .venv and every cache; runs and data stay"

setup: $(STAMP)

demo: $(STAMP)
	$(BIN)/understudy demo

# An idle process steals tests: handed out in blocks, all the slow ones would be with one. Coverage makes what runs much
# Python (compiling, counting) half as slow again: it is for continuous integration, and for who asks.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses=8 --dist worksteal $(if $(COVERAGE),--cov=understudy --cov-report=term)

# Side by side: the types take one core, and the tests wait for many an import.
check: $(STAMP)
	@$(MAKE) --no-print-directory -j2 -O style types fast-tests

style: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP)
	$(BIN)/pyright

fast-tests: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses=8 --dist worksteal -m "not slow and not browser"

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# For a machine whose sessions are cut short: when the time is up the runs save, and the same command goes on with them.
# It succeeds when nothing is left. Several small runs share one GPU.
TABLES ?= ab_table1 ab_table2 ab_table3 ab_table6 ab_table7 ab_table8
ROWS ?=
MINUTES ?= 8
WORKERS ?= 4
SEEDS ?= 3
# More of reproduce's options: OPTIONS="--teacher-weights t.safetensors --teacher-cache answers".
OPTIONS ?=
# Where nothing can be installed: UNDERSTUDY="python -m understudy.cli", with src in PYTHONPATH.
UNDERSTUDY ?= $(BIN)/understudy

gpu-tables: $(if $(findstring $(BIN),$(UNDERSTUDY)),$(STAMP))
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); status=0; \
	for table in $(TABLES); do \
	  left=$$((($$end - $$(date +%s)) / 60)); \
	  if [ $$left -lt 1 ]; then echo "the time is up before $$table"; exit 1; fi; \
	  $(UNDERSTUDY) reproduce $$table $(ROWS) --seeds $(SEEDS) --workers $(WORKERS) --minutes $$left $(OPTIONS) || status=1; \
	done; exit $$status

# The stamp appears only after everything is installed: an interrupted set-up starts again, a finished one costs nothing.
$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	    "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "Making .venv with $$("$$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')"; \
	    exec "$$python" -m venv --clear .venv; \
	  done; \
	  echo "make: no Python >= 3.11 with the venv module among: $(or $(PYTHON),python3 python3.13 python3.12 python3.11)." >&2; \
	  echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3" >&2; \
	  exit 1; }
	@echo "Installing what constraints.txt names into .venv (several GB the first time, mostly PyTorch; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
