# make demo and make test are all a newcomer needs; the others are for those who work on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test check bench tasks format clean

help:  ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "detox-bench needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[build,detoxify,train,dev]'
	@touch $@

demo: $(INSTALLED)  ## See it work: 17 languages, on this machine, offline
	$(BIN)/detox-bench register
	$(BIN)/detox-bench demo

test: $(INSTALLED)  ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadgroup

check: $(INSTALLED)  ## Lint, types, and whether generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# As installed: mypy cannot follow the mapping of trainers/ into the package.
	rm -rf build/typed && mkdir -p build/typed
	cp -r detox_bench build/typed && cp -r trainers build/typed/detox_bench
	cd build/typed && ../../$(BIN)/mypy --config-file ../../pyproject.toml
	$(BIN)/python -m detox_bench.task_files --check
	$(BIN)/python -m detox_bench.leaderboard.freezing --check
	@# Every number on the board once more: a change of statistics would show here.
	$(BIN)/detox-bench leaderboard check leaderboard

bench: $(INSTALLED)  ## Measure speed side by side (needs a quiet machine)
	$(BIN)/python -m benchmarks

tasks: $(INSTALLED)  ## Write the task files from the table of languages
	$(BIN)/python -m detox_bench.task_files

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
