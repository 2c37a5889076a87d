# Everything is installed into .venv, with the exact versions of constraints.txt: for `make run` what
# serves, without TensorFlow; with `make tensorflow`, `make test` and `make bench` TensorFlow as well.
PYTHON ?= python3
HOST = 127.0.0.1
PORT = 5000
SERVING_PORT = 9000
GRPC_PORT = 8500
# demo: serve EfficientNet-Lite0 alone; all: InceptionV3 follows where its weights can be downloaded.
MODEL = all
WORKERS = 2
FUZZ_SECONDS = 60

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The messages of pip go to a file: without network they are long and name everything but the cause.
PIP_LOG := .venv/pip.log
NO_NETWORK := Retrying|Connection|resolution|resolve host|Name or service
COMMA := ,
define install
	@$(INSTALL) -e '.[gateway,fast,openvino$(1)]' 2>$(PIP_LOG) || { \
		if grep -qE '$(NO_NETWORK)' $(PIP_LOG); \
		then echo "The package index cannot be reached, so nothing was installed; try again with a network. pip's messages are in $(PIP_LOG)."; \
		else grep ERROR $(PIP_LOG) || cat $(PIP_LOG); echo "pip could not install the packages; its messages are in $(PIP_LOG)."; \
		fi >&2; exit 1; }
	@touch $@
endef

# A package that some tests need, without its dependencies; they are skipped where it cannot be had.
define install_optional
	@$(INSTALL) --no-deps $(1) 2>$(PIP_LOG) || { \
		if grep -qE '$(NO_NETWORK)|No matching distribution' $(PIP_LOG); \
		then echo "$(1) cannot be had, so the tests with it are skipped."; \
		else grep ERROR $(PIP_LOG) || cat $(PIP_LOG); echo "pip could not install $(1); its messages are in $(PIP_LOG)."; rm -f $@; exit 1; \
		fi >&2; }
endef

# Why an environment that was moved, copied or outlived its Python must be made anew; mostly empty.
export STALE := $(if $(wildcard .venv),$(shell $(PYTHON) scripts/check_environment.py .venv 2>/dev/null))
ifneq ($(STALE),)
.PHONY: .venv/bin/python
endif

.PHONY: help run stop doctor status logs tensorflow clean test fast attack fuzz resilience soak containers haproxy monitoring systemd ray check figures docs commands bench audit licences release smoke
help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

run: .venv/run.stamp ## install what serves, fetch a trained model, start both servers in the foreground (MODEL=demo: without InceptionV3)
	@$(BIN)/python scripts/prepare_models.py --model $(MODEL)
	@exec $(BIN)/python auto_cmd.py start --host $(HOST) --port $(PORT) --serving-port $(SERVING_PORT) --grpc-port $(GRPC_PORT)

stop: ## stop what make run started
	@$(PYTHON) auto_cmd.py stop

doctor: ## look for problems that would keep the servers from working
	@$(PYTHON) auto_cmd.py doctor

status: ## show what runs
	@$(PYTHON) auto_cmd.py status

logs: ## show the last lines of the logs (ARGS=-f: and those that follow)
	@$(PYTHON) auto_cmd.py logs $(ARGS)

tensorflow: .venv/tensorflow.stamp ## install TensorFlow too, for exports and for SavedModels of other tools

# Versions in my_image_classifier are made by `make run`; those of other folders belong to the user.
clean: ## remove .venv, .run and caches (MODELS=1: also the versions of my_image_classifier and downloaded model files)
	@$(PYTHON) auto_cmd.py status >/dev/null; test $$? -ne 0 -a $$? -ne 1 \
		|| { echo "The servers must be stopped first: run make stop." >&2; exit 1; }
	rm -rf .venv .venv-bench .venv-ray .run build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	$(if $(MODELS),rm -rf my_image_classifier/[0-9]* my_image_classifier/.draft-* scripts/*.keras scripts/*.h5)

# Servers and browsers start for a good part of the time, so on two cores a third process pays; with
# the servers that it runs, a process takes up to 4 GB. A container may have less memory than its machine.
MEMORY := /proc/meminfo /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes
test: WORKERS = $(shell cat $(MEMORY) 2>/dev/null | awk '/^MemAvailable:/ { kb = $$2 } \
	/^[0-9]+$$/ && $$1 / 1024 < kb { kb = $$1 / 1024 } END { print (kb > 14e6) ? 3 : 2 }')
test: .venv/dev.stamp ## run the tests in WORKERS processes
	@$(BIN)/python -m pytest -n $(WORKERS)

# Folders whose tests need neither TensorFlow nor processes of their own, and hardly wait.
FAST := tests/test_layers.py tests/test_documents.py tests/docs tests/model_catalog tests/serving_api \
	$(addprefix tests/flask_server/,imaging web views test_settings.py) \
	$(addprefix tests/model_server/,codec rest test_flags.py)

fast: .venv/dev.stamp ## run the fast tests (under 30 s)
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m "not tensorflow and not slow" $(FAST)

attack: .venv/dev.stamp ## attack both servers at length (half an hour, on an idle machine)
	@ATTACK=long $(BIN)/python -m pytest tests/attack

# Atheris has wheels for Linux only.
fuzz: .venv/fuzz.stamp ## search for inputs that make a reader fail (FUZZ_SECONDS=60 for each reader, FUZZ=NAME for one)
	@$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) $(FUZZ)

resilience: .venv/dev.stamp .venv/bench.stamp ## break and overload servers, break connections and version folders under load, write docs/reliability.md (20 minutes)
	@results=$$(mktemp) && trap 'rm -f '$$results EXIT \
		&& RESILIENCE=long RESILIENCE_RESULTS=$$results $(BIN)/python -m pytest tests/resilience \
		&& $(BIN)/python -m tests.resilience.report $$results

# Only an hour or more is written into the documentation.
SOAK_MINUTES = 60
soak: .venv/dev.stamp .venv/bench.stamp ## swap versions for an hour at 70 % of the capacity: no process grows, nothing gets slower (SOAK_MINUTES=3)
	@results=$$(mktemp) && trap 'rm -f '$$results EXIT \
		&& RESILIENCE=long RESILIENCE_RESULTS=$$results SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m pytest tests/resilience/test_soak.py \
		&& if [ $(SOAK_MINUTES) -ge 60 ]; then $(BIN)/python -m tests.resilience.report $$results; fi

containers: .venv/dev.stamp ## carry out the Dockerfiles without a container engine (minutes; root, debootstrap; CONTAINERS=openvino,tensorflow)
	@CONTAINERS=$${CONTAINERS:-openvino} $(BIN)/python -m pytest tests/deploy/test_images.py

haproxy: .venv/dev.stamp ## restart and kill the servers behind HAProxy under load (2 minutes; needs haproxy and redis-server)
	@HAPROXY=long $(BIN)/python -m pytest tests/deploy/test_haproxy.py

monitoring: .venv/dev.stamp ## evaluate the alerts and the dashboard with a real Prometheus (Debian's package prometheus)
	@MONITORING=long $(BIN)/python -m pytest tests/flask_server/telemetry/test_monitoring.py

systemd: .venv/dev.stamp ## run the unit in a real systemd, in namespaces (a minute; as root, on Linux)
	@SYSTEMD=long $(BIN)/python -m pytest tests/deploy/test_systemd.py

ray: .venv-ray/stamp ## serve models on a real Ray cluster of several nodes, break it, and measure it (as root; 20 minutes)
	@RAY_LONG=1 .venv-ray/bin/python -m pytest -q -s --show-capture=no tests/deploy/test_ray*.py
	@.venv-ray/bin/python -m tests.deploy.ray_figures

# What bandit reads: the tests may do what a server must not.
CHECKED := auto_cmd.py benchmarks deploy docs flask_server model_catalog model_server orchestrator release scripts \
	serving_api serving_gateway serving_tracing

check: .venv/dev.stamp ## lint, format, security rules of bandit and types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m bandit -q -c pyproject.toml -r $(CHECKED)
	@$(BIN)/python -m mypy

figures: .venv/bin/python ## measure the lengths, docstrings and imports of the project's Python files (fails when a target is missed)
	@$(BIN)/python -m release.code_figures

docs: .venv/docs.stamp ## build the documentation in build/docs
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

commands: .venv/dev.stamp ## run the commands of the manuals that take long (2 minutes; those of the other pages are in make test)
	@COMMANDS=long $(BIN)/python -m pytest tests/docs/test_long_commands.py

bench: .venv/bench.stamp .venv-bench/peers.stamp ## measure everything side by side (50 minutes; ARGS=--short for 15 minutes, ARGS="--only NAME" for one section)
	@$(BIN)/python -m benchmarks.run $(ARGS)

audit: .venv/release.stamp ## look for known vulnerabilities in the packages of pip and npm (exit code 69: a service does not answer)
	@$(BIN)/python -m release.audit

licences: .venv/release.stamp ## ask the package index for the licences of all pinned packages (after a change of constraints.txt)
	@$(BIN)/python -m release.collect

release: .venv/release.stamp ## write wheel, sdist, SBOM, licences and SHA256SUMS of the last commit into dist
	@$(BIN)/python -m release

smoke: .venv/release.stamp ## install the wheel of dist as gateway and model server alone, and in full, and classify an image with each
	@$(BIN)/python -m release.smoke $(ARGS)

.venv/bin/python:
	@test -z "$$STALE" || echo ".venv is made anew: $$STALE"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and f"Python 3.11 to 3.13 is needed, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12 …")'
	@# --clear removes what an earlier Python left. A half-made environment must not look complete.
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "$(PYTHON) could not make the virtual environment .venv; see above." >&2; exit 1; }

.venv/run.stamp: .venv/bin/python pyproject.toml constraints.txt
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip --default-pip >/dev/null 2>&1 \
		|| { echo "$(BIN)/python has no pip: remove .venv and run make again (on Debian and Ubuntu, install python3-venv first)." >&2; exit 1; }
	@echo "installing into .venv: gateway and model server (350 MB, about half a minute the first time)"
	$(call install)

.venv/tensorflow.stamp: .venv/run.stamp
	@echo "installing into .venv: TensorFlow (1.4 GB more)"
	$(call install,$(COMMA)embedded$(COMMA)export$(COMMA)keras2)

.venv/dev.stamp: .venv/run.stamp
	@echo "installing into .venv: TensorFlow and the packages of the tests (2.2 GB more, a few minutes the first time)"
	$(call install,$(COMMA)embedded$(COMMA)export$(COMMA)dev)
	@# Its dependency tensorflow would replace tensorflow-cpu.
	$(call install_optional,tensorflow-serving-api)
	@# A collector for OpenTelemetry, which has wheels for Linux only.
	$(call install_optional,rotel)

.venv/fuzz.stamp: .venv/dev.stamp
	$(call install,$(COMMA)embedded$(COMMA)export$(COMMA)dev$(COMMA)fuzz)

.venv/docs.stamp: .venv/run.stamp
	$(call install,$(COMMA)docs)

.venv/release.stamp: .venv/run.stamp
	$(call install,$(COMMA)release)

# An environment of its own, as Ray brings some forty packages; those of .venv are visible in it.
.venv-ray/stamp: .venv/dev.stamp
	@echo "installing into .venv-ray: Ray (340 MB)"
	@$(BIN)/python -m venv --clear .venv-ray
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' \
		> "$$(.venv-ray/bin/python -c 'import site; print(site.getsitepackages()[0])')/zz_shared.pth"
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	@touch $@

.venv/bench.stamp: .venv/run.stamp
	$(call install,$(COMMA)embedded$(COMMA)export$(COMMA)quantize$(COMMA)bench)

# The peers of the benchmark, in an environment of their own; without them their rows stay empty.
.venv-bench/peers.stamp: .venv/bin/python benchmarks/peers/requirements.txt
	@test -x .venv-bench/bin/python || $(BIN)/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt \
		&& touch $@ || echo "the peers could not be installed; their rows will say so"
