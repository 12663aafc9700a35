# Two commands do everything on a machine with Python 3.11 and make:  make run   make test
PYTHON ?= python3.11
BIN := .venv/bin

.DEFAULT_GOAL := run
.PHONY: setup run test check serve proto golden bench lock models

setup: .venv/.ready  ## the project's own virtual environment, exactly as locked

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: setup  ## the drill: a day in the demo room, with a UPS and an air handler failing
	$(BIN)/tapas-opt demo

test: check  ## everything that decides whether a change may land
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: setup  ## the gRPC service on the demo site
	$(BIN)/tapas-opt serve

proto: setup  ## regenerate tapas_opt/api from protos/
	$(BIN)/python protos/generate.py

golden: setup  ## write the readable models of tests/golden anew; read the diff
	$(BIN)/python tests/golden/test_golden.py

models: setup  ## learn models/ again from a generated history of the demo site
	rm -rf runs/history
	$(BIN)/tapas-opt history generate --out runs/history
	$(BIN)/tapas-opt fit --history runs/history --models models/demo --force

bench: setup  ## figures, not verdicts: see docs/benchmarking.md
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/armed_plans.py
	$(BIN)/python benchmarks/route_pick.py

lock: setup  ## pin requirements.lock anew from the floors in pyproject.toml
	$(BIN)/pip-compile --quiet --extra dev --extra solvers --extra cluster --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-trusted-host --no-header --output-file requirements.lock pyproject.toml
