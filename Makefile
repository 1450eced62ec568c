# Set-up, start, checks and tests. Recipes are POSIX sh; everything is installed into .venv and nowhere else.
#   make PYTHON=/path/to/python …   uses that Python instead of the first suitable one
#   make test ARGS="-k lease -x"    hands options on to the command

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# At most four workers: each keeps a share of the one Postgres busy.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
unexport PYTHONHOME PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup run test test-deep check lock clean FORCE

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/runtime ## make .venv with all that the server needs

run: setup ## set up, then start the server
	@exec $(BIN)/chillproxy serve $(ARGS)

test: $(VENV)/development ## set up, then run the tests
	@$(PYTEST) $(ARGS)

test-deep: $(VENV)/development ## all tests, the long ones too
	@HYPOTHESIS_PROFILE=deep $(PYTEST) -m '' $(ARGS)

check: $(VENV)/development ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## for maintainers, needs uv: compile both lock files anew
	@command -v uv >/dev/null || { echo "make lock needs uv" >&2; exit 1; }
	echo 'setuptools>=80' | $(COMPILE) $(ARGS) --output-file requirements.lock pyproject.toml -
	$(COMPILE) $(ARGS) --group dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove .venv, caches and build output; data/ stays
	rm -rf $(VENV) build *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./data -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The three stamps. The script runs each time, and touches its stamp only when it had to make .venv anew.
$(VENV)/made-for: FORCE
	@deploy/make_venv.sh $(VENV)

$(VENV)/runtime: $(VENV)/made-for requirements.lock pyproject.toml
	@deploy/install.sh $(VENV) requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements-dev.lock
	@deploy/install.sh $(VENV) requirements-dev.lock
	@touch $@
