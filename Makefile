# Two commands matter: `make demo` and `make test`. Both set up the same virtual environment first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup demo test lint crash fuzz soak page clean

setup: .venv/ready

# PyTorch comes first and pinned: a wider range, asked for by another package, may bring a far larger build.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[dev]'
	@touch $@

# Builds a bot from the bundled shop log over an open model (93 MB, fetched once), from random weights where that cannot
# be had; then talks: by keyboard, or a few scripted lines without a terminal.
demo: setup
	@$(BIN)/mynah base add smollm2 || echo "demo: without an open model, from random weights"
	$(BIN)/mynah build --sample en --minutes 6 --name demo
	@if [ -t 0 ] && [ -t 1 ]; then \
		$(BIN)/mynah chat runs/demo; \
	else \
		printf '%s\n' "Hello!" "How many days do I have to return something?" "My lamp arrived broken, what now?" "Thanks!" \
			| tee runs/demo/.asked | $(BIN)/mynah chat runs/demo > runs/demo/.said; \
		paste -d '\n' runs/demo/.asked runs/demo/.said; \
	fi

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# Kills, power cuts, full disks, flipped bits: N kills of one process and N of two.
N ?= 20
crash: setup
	OMP_NUM_THREADS=1 $(BIN)/python tests/crash/harness.py --kills $(N)

fuzz: setup
	$(BIN)/python benchmarks/fuzz_readers.py --mutants 1000

# A service that thousands come to, go away from and break off: RUN=smollm2 make soak, or of another run or base.
RUN ?= runs/demo
soak: setup
	$(BIN)/python benchmarks/serve.py $(RUN) --soak 10000 --open 500 --hostile 10000

# Fetches the page's two libraries anew and compares them with what is committed.
PAGE := $(CURDIR)/mynah/serve/page/vendor
page:
	cd "$$(mktemp -d)" && npm pack --silent marked@18.2.1 dompurify@3.5.0 \
		&& tar xzf marked-18.2.1.tgz && cmp package/lib/marked.esm.js $(PAGE)/marked.js && rm -r package \
		&& tar xzf dompurify-3.5.0.tgz && cmp package/dist/purify.es.mjs $(PAGE)/purify.js

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
