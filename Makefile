# make demo: everything once on the built-in data.  make test: the whole suite.  make check: style, types, imports.  make docs: the manual.
PYTHON ?= python3
# raw data of `make bench`
MODELNET10 ?= workspace/raw/modelnet10
BIN := .venv/bin

.PHONY: demo test soak check docs hashes audit bench encoders gpu clean

demo: .venv/installed
	$(BIN)/spectral-ssl demo

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not manual"

# the faults of tests/pretext/training/test_trust_kill.py note their results in soak.jsonl, the source of the table in docs/trust.md
soak: .venv/installed-dev
	rm -f soak.jsonl
	SOAK_RESULTS=$(CURDIR)/soak.jsonl OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python tests/soak_table.py soak.jsonl

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/house_lint.py
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive spectral_ssl data_prep pretext downstream

# the manual, docs/ to build/docs/index.html; every warning is an error. Then its long pages are run from top to bottom
docs: .venv/installed-docs .venv/installed-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs build/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m manual tests/test_docs.py

# the list for releases, with checksums of every file of every version (docs/security.md); asks the package index
hashes: .venv/installed-dev
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/python .ci/hashed_packages.py > build/packages.txt
	build/uv/bin/uv pip compile --quiet --no-deps --generate-hashes --universal --python-version 3.11.5 --no-header \
	    --no-annotate --default-index https://pypi.org/simple build/packages.txt --output-file requirements-hashed.txt

# known weaknesses of the locked versions; asks a service on the net, so it is no part of `make check`
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --requirement requirements-hashed.txt --disable-pip --require-hashes

# needs a CUDA device. From a checkout, with the torch of $(PYTHON), because that of .venv is a CPU build
gpu:
	PYTHONPATH=$(CURDIR) $(PYTHON) benchmarks/gpu.py

bench: .venv/installed-dev
	$(BIN)/python benchmarks/transforms.py --out benchmarks/results/transforms.json
# with ModelNet10 at hand: benchmarks/sampling.py and benchmarks/reconstruction.py --root ModelNet10
	$(BIN)/python benchmarks/preparation.py --root $(MODELNET10) --out benchmarks/results/preparation.json
	$(BIN)/python benchmarks/table.py

# the encoders that ship, trained anew in the workspace: hours. `python benchmarks/make_encoders.py NAME` makes one
encoders: .venv/installed-dev
	$(BIN)/python benchmarks/make_encoders.py

# every version is locked in constraints.txt, torch to a CPU build: without it pip may take gigabytes of CUDA
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed, this is ' + sys.version.split()[0] if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf .venv build docs/reference *.egg-info
