# Everything runs from the checkout, in .venv and .local; nothing is installed outside but the tool cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STACK ?= local
BASE ?= main
SHELL := /bin/bash

# Many containers set it; each process that tests and the cluster start would then compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help toolchain up status startup down env key token plan plan-diff check policy-summary policy-pack load chaos cases gateway-bench \
  gateway-cost affinity-bench fuzz test test-unit test-vllm bench cpu-bench lint lock golden openapi schema pin-images \
  test-without-local refresh-prices published-prices

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The plan needs a few small packages: it answers before the rest is installed. Same pins, same hashes.
$(VENV)/plan.stamp: $(VENV)/python.stamp requirements-plan.lock
	@echo "installing what the plan needs into $(VENV)" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-plan.lock
	@touch $@

$(VENV)/all.stamp: $(VENV)/python.stamp requirements.lock
	@echo "installing the locked Python packages into $(VENV) (about a minute, once)" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $(VENV)/plan.stamp $@

toolchain: $(VENV)/all.stamp ## find, download or build the cluster's programs (cached for every checkout)
	@$(BIN)/python -m local.toolchain

up: $(VENV)/all.stamp ## local cluster, `pulumi up`, first token from each model
	@$(BIN)/python -m local up

status: $(VENV)/all.stamp ## what runs and where
	@$(BIN)/python -m local status

down: $(VENV)/all.stamp ## end every process, remove .local
	@$(BIN)/python -m local down

startup: $(VENV)/all.stamp ## how long each stage of each replica's start took; of one model: MODEL=chat
	@eval "$$($(BIN)/python -m local env)" && $(BIN)/python -m serving.startup $(if $(MODEL),--model $(MODEL))

env: $(VENV)/all.stamp ## shell exports: eval "$$(make -s env)"
	@$(BIN)/python -m local env

# The keys of the local stack are in its state folder, wherever that is.
TOKENS := $(if $(filter local,$(STACK)),local.token,stacks.commands.token)

key: $(VENV)/all.stamp ## a key that signs tokens of STACK; RETIRE=KID takes one out: docs/tokens.md
	@$(BIN)/python -m $(TOKENS) key "$(STACK)" --retire "$$RETIRE"

token: $(VENV)/all.stamp ## a token for TEAM on STACK, alone on stdout; MODELS=chat,chat-large DAYS=30
	@$(BIN)/python -m $(TOKENS) mint "$(STACK)" --team "$$TEAM" --models "$$MODELS" --days "$$DAYS"

plan: $(VENV)/plan.stamp ## models, machines and dollars per hour of STACK, without cloud or CLI
	@$(BIN)/python -m stacks.plan $(STACK)

plan-diff: $(VENV)/plan.stamp ## what a change since BASE does to every stack, or to STACK, as Markdown
	@$(BIN)/python -m stacks.commands.plan_diff $(if $(filter file,$(origin STACK)),,"$(STACK)") --base "$(BASE)"

check: $(VENV)/all.stamp ## the policy pack on STACK, without cloud, cluster or CLI
	@$(BIN)/python -m stacks.commands.policy_check $(STACK)

policy-summary: $(VENV)/all.stamp ## what the policy pack says of every stack, or of STACK, as Markdown
	@$(BIN)/python -m stacks.commands.policy_summary $(if $(filter file,$(origin STACK)),,"$(STACK)")

# A published pack is installed on its own: with its own environment, and the pins without what the rest needs.
policy-pack: ## the policy pack as a folder for `pulumi policy publish`: OUT=FOLDER
	@test -n "$(OUT)" || { echo "OUT is missing: make policy-pack OUT=FOLDER" >&2; exit 2; }
	@mkdir -p "$(OUT)"
	@tar -c --exclude=__pycache__ --exclude=policies/PulumiPolicy.yaml --exclude=policies/requirements.txt \
	  policies sizing serving/images/pinned.py serving/images/reference.py serving/images/data | tar -x -C "$(OUT)"
	@mv "$(OUT)/policies/__main__.py" "$(OUT)"
	@sed 's|\.\./\.venv|venv|; /^#/d' policies/PulumiPolicy.yaml > "$(OUT)/PulumiPolicy.yaml"
	@sed -nE 's/^([a-z0-9.-]+==[^ ]+).*/\1/p' requirements.lock > "$(OUT)/constraints.txt"
	@printf '%s\n' "-c constraints.txt" pulumi pulumi-policy pydantic PyYAML > "$(OUT)/requirements.txt"

load: $(VENV)/all.stamp ## a burst on the running cluster: live table, picture, JSON report (7 minutes)
	@$(BIN)/python -m local.load

chaos: $(VENV)/all.stamp ## break one part after the other under load, to docs/chaos.md (30 minutes)
	@$(BIN)/python -m local.load.chaos

cases: $(VENV)/all.stamp ## cold, warm node, hot spare, wake from zero, to docs/capacity-cases.md (10 minutes)
	@$(BIN)/python -m local.load.cases

gateway-bench: $(VENV)/all.stamp ## the gateway next to direct access, vllm-router and LiteLLM, to docs/gateway-benchmark.md
	@$(BIN)/python -m local.gateway_benchmark --rivals vllm-router litellm --rate 25

gateway-cost: $(VENV)/all.stamp ## CPU time per request beside BASE, and of each part, to docs/gateway-cost.md (10 minutes)
	@$(BIN)/python -m local.gateway_benchmark.cost --base "$(BASE)" --each \
	  --json docs/gateway-cost.json --report docs/gateway-cost.md

affinity-bench: $(VENV)/all.stamp ## what prompt_cache_key gains and costs, to docs/affinity.md (8 minutes)
	@$(BIN)/python -m local.affinity_benchmark

test: lint toolchain ## everything, on a real control plane of its own
	@status=0; \
	$(BIN)/python -m pytest -m "not cluster" --numprocesses logical --dist worksteal || status=$$?; \
	$(BIN)/python -m pytest -m cluster || status=$$?; \
	exit $$status

test-unit: $(VENV)/all.stamp ## no cluster and no load: what to run while writing
	@$(BIN)/python -m pytest -m "not cluster and not traffic" --numprocesses logical --dist worksteal

test-without-local: $(VENV)/all.stamp ## opt-in, 6 minutes: all other tests in a copy without local/ and tests/local/
	@LLM_PLATFORM_TESTS_WITHOUT_LOCAL=tests $(BIN)/python -m pytest --timeout 1800 tests/test_without_local.py

fuzz: $(VENV)/all.stamp ## opt-in, 4 minutes: odd requests to the gateway in long runs; LLM_PLATFORM_FUZZ_SEED repeats one
	@LLM_PLATFORM_FUZZ_EXAMPLES=15000 $(BIN)/python -m pytest -s tests/serving/gateway/test_fuzz.py \
	  tests/serving/gateway/test_slow_clients.py tests/serving/gateway/fuzz/campaign.py

test-vllm: $(VENV)/all.stamp ## opt-in, 6 GB once: the emulator against real vLLM 0.32 and 0.33 (VLLM=0.33: one)
	@$(BIN)/python -m local.engine.comparison $(addprefix --release ,$(VLLM))

golden: $(VENV)/all.stamp ## renew the rendered manifests in tests/golden; review the difference
	@LLM_PLATFORM_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/stacks/program/test_golden.py

openapi: $(VENV)/all.stamp ## renew docs/openapi.json, the gateway's published description
	@$(BIN)/python -m serving.gateway.openapi

schema: $(VENV)/all.stamp ## renew stacks/schema.json, which editors use
	@$(BIN)/python -m stacks.commands.schema

pin-images: $(VENV)/all.stamp ## ask the registries for the digests of serving/images/data/images.yaml
	@$(BIN)/python -m serving.images.pin

refresh-prices: $(VENV)/all.stamp ## renew machine prices from the clouds' own APIs, with your credentials
	@$(BIN)/python -m sizing.hardware.prices

published-prices: $(VENV)/all.stamp ## renew AWS list prices from the table inside Karpenter, without an account
	@$(BIN)/python -m sizing.hardware.prices.karpenter

bench: toolchain ## timings of the main jobs, to docs/benchmarks.md and .json
	@$(BIN)/python -m local.bench

cpu-bench: $(VENV)/all.stamp ## CPU time of program, check and plan with 50 models beside BASE (2 minutes)
	@$(BIN)/python -m local.bench_cpu --base "$(BASE)"

lint: $(VENV)/all.stamp ## format, lint, types
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/basedpyright --level error

LOCK := $(VENV)/lock/bin/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-emit-trusted-host --strip-extras --allow-unsafe --no-annotate --no-header

lock: $(VENV)/python.stamp ## renew both lock files from pyproject.toml
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet pip-tools==7.6.2
	@$(LOCK) --extra program --extra local --extra dev -o requirements.lock pyproject.toml
	@$(LOCK) -c requirements.lock -o requirements-plan.lock pyproject.toml
