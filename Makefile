# What CI runs, in an environment that exists already: `pip install -e ".[dev]"` makes one.
PYTHON ?= python

.PHONY: check lint types imports notebooks docs test slow fuzz mutation bench format

check: lint types imports notebooks docs test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m numpydoc.hooks.validate_docstrings $$(git ls-files 'convexrelu/*.py')

types:
	$(PYTHON) -m mypy

imports:
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as run; run()"

# The site, in docs/_build/html: warnings are errors, and every link inside leads somewhere.
docs:
	rm -rf docs/_build docs/api docs/notebooks
	OMP_NUM_THREADS=1 $(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(PYTHON) docs/check_links.py docs/_build/html

# They run, and print what is stored in them; `make notebooks STORE=--store` stores what they print.
notebooks:
	$(PYTHON) notebooks/run.py $(STORE)

test:
	$(PYTHON) -m pytest -n auto

# Hours. After the tests NP Figures 6 to 8 are recorded anew, in benchmarks/results/np-*.json, and drawn; then how far
# pursuit gets with pointer value retrieval, in benchmarks/results/pointer.json.
slow:
	$(PYTHON) -m pytest -m slow
	OMP_NUM_THREADS=1 $(PYTHON) benchmarks/halves.py --anew
	OMP_NUM_THREADS=1 $(PYTHON) benchmarks/retrieval.py

# FUZZ times the slice that the tests run, without their type checks, which would take as long again. What fails is put
# into tests/fuzz/corpus, and replayed from then on.
FUZZ ?= 100
fuzz:
	OMP_NUM_THREADS=1 CONVEXRELU_FUZZ=$(FUZZ) $(PYTHON) -m pytest tests/fuzz -n auto -o addopts=--import-mode=importlib

# Each change of an operator, comparison or constant of the checker must fail a test. MODULE=, SAMPLE= and QUICK=, the
# seconds of tests for each, restrict it.
MODULE ?= convexrelu/check.py
mutation:
	OMP_NUM_THREADS=1 $(PYTHON) tests/mutation.py --module $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(QUICK),--quick $(QUICK))

bench:
	$(PYTHON) benchmarks/run.py
	$(PYTHON) benchmarks/arrangements.py
	$(PYTHON) benchmarks/solver.py --quick
	$(PYTHON) benchmarks/semidefinite.py
	OMP_NUM_THREADS=1 $(PYTHON) benchmarks/descent.py
	$(PYTHON) benchmarks/peers.py

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
