# Every target sets up what it needs; what was built is kept in a cache, `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CETACEAN_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cetacean
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/inference:$(CURDIR)/models:$(CURDIR)/scripts
export PYTHONDONTWRITEBYTECODE := 1
export KUBE_CONTEXT IMAGE_REGISTRY
BASE_PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := $(CETACEAN_CACHE)/venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed-$(shell sha256sum requirements.lock | cut -c1-16)
CHECK_PYTHON = test -e "$(STAMP)" || $(BASE_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	|| { echo "error: Python 3.11, 3.12 or 3.13 is needed, found: $$($(BASE_PYTHON) --version 2>&1)" >&2; exit 1; }
PACKAGES := operator/cetacean_cli operator/cetacean_operator inference/cetacean_inference inference/cetacean_evaluation \
	models/cetacean_logging models/cetacean_registry models/cetacean_signing
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider

##@ The two commands
.PHONY: demo test
demo: _check venv  ## a real cluster, the operator, real pods: promotion, refusal, drift, rollback (KEEP=1 leaves it up)
	@$(PYTHON) -m cetacean_tools.demo $(if $(KEEP),--keep)

test: _check test-unit test-fuzz _prepare test-image  ## all tiers of tests, the last two against one local cluster that is ended afterwards
	@$(PYTHON) -m cetacean_tools.local_cluster run -- $(MAKE) _test-api _test-e2e

##@ Tests
.PHONY: check check-metrics compute-metrics test-unit test-fuzz fuzz test-image test-api test-e2e soak mutants
.PHONY: _style _types _layers _check _prepare _programs _test-api _test-e2e _soak
check: venv  ## format, lint, types, layers, links of the documents: what CI runs beside the tests
	@$(MAKE) -j 2 --output-sync=target _types site _layers _style

_style:
	@$(PYTHON) -m ruff format --check . && $(PYTHON) -m ruff check .

_types:
	@$(PYTHON) -m mypy --cache-dir "$(CETACEAN_CACHE)/mypy" $(PACKAGES) scripts tests benchmarks

_layers:
	@$(VENV)/bin/lint-imports --no-cache

BASELINE ?= reports/metrics_baseline.json
GATES ?=
check-metrics: venv  ## the regression gate: the registry's metrics snapshots against the baseline
	@$(PYTHON) scripts/check_regression.py --baseline "$(BASELINE)" $(GATES)

check-release: venv  ## list the approvals that the release of a changed registry lacks: BASE=<Git revision> GIVEN="--review <person> --qa <person>"
	@$(PYTHON) -m cetacean_cli release check --base "$(BASE)" $(GIVEN)

compute-metrics: venv  ## compute the newest model's figures on data/test_split (minutes) and judge them by the baseline
	@$(PYTHON) scripts/compute_metrics.py --newest --baseline "$(BASELINE)" --out "$(or $(OUT),reports/metrics_latest.json)" $(GATES)

test-unit: venv  ## minutes; no cluster, no network
	@$(PYTEST) tests/unit -n auto --dist worksteal

test-fuzz: venv  ## generated hostile input with fixed seeds: a minute of processor time; no cluster, no network
	@$(PYTEST) tests/fuzz -n auto --dist worksteal

SECONDS := 600
fuzz: venv  ## the same with random seeds for SECONDS=600; what failed is kept in the cache and tried first the next time
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m fuzz $(SECONDS) "$(CETACEAN_CACHE)/fuzz"

test-image: venv  ## the tests of the inference service with the interpreter and packages of its image; minutes
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m support.image_tests

test-api: _check venv _programs  ## a real API server: schema, CEL, server-side apply, RBAC, leader election
	@$(PYTHON) -m cetacean_tools.local_cluster run -- $(MAKE) _test-api

test-e2e: _check _prepare  ## real pods on a real node, installed by Helm
	@$(PYTHON) -m cetacean_tools.local_cluster run -- $(MAKE) _test-e2e

MINUTES := 60
SOAK := PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m soak
soak: _check _prepare  ## random changes and faults for MINUTES=60, after each of which everything must add up; SEED=<number> repeats a run; writes benchmarks/results and docs/benchmarks.md
	@$(PYTHON) -m cetacean_tools.local_cluster run -- $(MAKE) _soak

_soak:
	@$(SOAK) $(MINUTES) $(if $(SEED),--seed $(SEED)) --publish

mutants: venv  ## hours: change the pure modules in small ways; which changes does no test notice? (MODULES="promotion gate")
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" nice -n 19 $(PYTHON) -m mutation $(MODULES)

# Seconds, and before anything that takes minutes, such as the Python environment: any Python can do it.
demo sample: CHECKED := --images
test-api: CHECKED := --programs
test test-e2e soak dashboard-pictures bench-prefetch bench-switch: CHECKED := --images --programs
_check:
	@$(CHECK_PYTHON)
	@$(if $(wildcard $(STAMP)),$(PYTHON),$(BASE_PYTHON)) -m cetacean_tools.local_cluster.prerequisites $(CHECKED)

# Outside of the tests, whose time is bounded, and with progress.
_prepare: venv _programs
	@$(PYTHON) -m cetacean_tools.demo --prepare
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m support.gateway --images

_programs: venv
	@$(PYTHON) -m cetacean_tools.local_cluster programs
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m support.gateway

# Its tests wait most of the time: for a lease to run out, for a watch to fall silent. Each file has its own namespaces.
_test-api:
	@$(PYTEST) tests/api -m alone
	@$(PYTEST) tests/api -m "not alone" -n 3 --dist loadfile --no-loadscope-reorder

_test-e2e:
	@$(PYTEST) tests/e2e
	@$(SOAK) 5 --seed 1 --only-if-local

##@ Benchmarks
.PHONY: bench-inference bench-serving bench-contention bench-decoding bench-layers bench-precision bench-shadow bench-operator bench-validation bench-prefetch bench-switch bench-pictures dashboard-pictures
bench-inference: venv  ## our service beside plain eager torch over HTTP; writes benchmarks/results and docs/benchmarks.md
	@$(PYTHON) -m benchmarks.inference

bench-serving: venv  ## our service beside LitServe, BentoML, Ray Serve and KServe's Python server; installs them at first; writes benchmarks/results
	@$(PYTHON) -m benchmarks.serving

bench-contention: venv  ## processor time of compute_metrics alone and three times side by side; writes benchmarks/results
	@$(PYTHON) -m benchmarks.contention

bench-decoding: venv  ## cost of decoding in separate processes; writes benchmarks/results and docs/benchmarks.md
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m benchmarks.inference.decoding

bench-layers: venv  ## time of each kind of layer beside the processor's peak; writes benchmarks/results and docs/benchmarks.md
	@$(PYTHON) -m benchmarks.inference.layers

bench-precision: venv  ## how far each engine lies from eager torch with the demo's weights; writes benchmarks/results
	@$(PYTHON) -m benchmarks.inference.precision

bench-shadow: venv  ## throughput and latency while none, a quarter and all pictures are copied to a candidate; writes benchmarks/results
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m benchmarks.shadow

bench-operator: venv  ## our operator beside Argo Rollouts and plain Deployments on kwok's nodes, root only; builds both at first
	@$(PYTHON) -m benchmarks.operator

bench-validation: venv  ## the API server's CPU time for writes of a CetaceanModel: with its rules, without, without a schema; root only
	@$(PYTHON) -m benchmarks.operator.validation

bench-prefetch: _check _prepare  ## time from `active` to Ready with and without prefetch, from a slow store, on the local cluster
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m cetacean_tools.local_cluster run -- $(PYTHON) -m benchmarks.prefetch

bench-switch: _check _prepare  ## from `active` to the first answer of the new version, beside a Deployment and Argo Rollouts, on the local cluster
	@PYTHONPATH="$(PYTHONPATH):$(CURDIR)/tests" $(PYTHON) -m cetacean_tools.local_cluster run -- $(PYTHON) -m benchmarks.switch

bench-pictures: venv  ## draw docs/images/benchmark-*.svg again from benchmarks/results, as each benchmark does for its own
	@$(PYTHON) -m benchmarks.pictures

dashboard-pictures: _check _prepare  ## pictures of the dashboards over some minutes of a real model's life, for docs/
	@$(PYTHON) -m benchmarks.dashboards.pictures

##@ Build
.PHONY: check-release venv images models cluster cluster-env sample clean-cluster lock crd dashboards settings command-line reference metrics site fmt
venv: $(STAMP)  ## the Python environment with the locked dependencies

$(STAMP): requirements.lock
	@$(CHECK_PYTHON)
	@mkdir -p "$(CETACEAN_CACHE)"
	@exec 9>"$(CETACEAN_CACHE)/venv.lock"; flock 9; test -e "$@" && exit 0; \
	 echo "setting up the Python environment in $(VENV)" >&2; \
	 rm -f "$(VENV)"/.installed-*; \
	 $(BASE_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	   test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	     || { echo "error: Python's venv is missing (install it with: apt-get install python3-venv)"; exit 1; }; \
	   apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; }; \
	 $(BASE_PYTHON) -m venv "$(VENV)" && "$(VENV)/bin/pip" install --quiet --disable-pip-version-check 'uv>=0.8,<1' \
	 && "$(VENV)/bin/uv" pip sync --quiet --compile-bytecode --python "$(PYTHON)" --require-hashes requirements.lock && touch "$@"

images: venv  ## build the operator's and the inference service's images
	@$(PYTHON) -m cetacean_tools.container_images

models: venv  ## train the demo's models
	@$(PYTHON) -m cetacean_tools.demo_models

cluster: _check venv  ## start the local cluster and leave it up
	@$(PYTHON) -m cetacean_tools.local_cluster up

cluster-env: venv  ## print the variables with which a shell reaches it: eval "$(make cluster-env)"
	@$(PYTHON) -m cetacean_tools.local_cluster env

sample: _check venv  ## make all that docs/getting-started.md rolls out: images and small models in the cluster, files in sample/
	@$(PYTHON) -m cetacean_tools.demo.sample sample

clean-cluster: venv  ## end the local cluster and remove what it had mounted and set up
	@$(PYTHON) -m cetacean_tools.local_cluster down

CRD := crds/ecomarineai.org_
VALUES := charts/cetacean-model/values.schema.json
crd: venv  ## write the CRDs from the Python types, and what the charts have of them
	@for plural in cetaceanmodels modelapprovals; do \
	  $(PYTHON) -m cetacean_operator.api.crd $$plural > $(CRD).new && mv $(CRD).new $(CRD)$$plural.yaml || { rm -f $(CRD).new; exit 1; }; \
	done
	@cp $(CRD)*.yaml charts/cetacean-operator/files/
	@$(PYTHON) -m cetacean_tools.pages.model_chart_schema > $(VALUES).new && mv $(VALUES).new $(VALUES) || { rm -f $(VALUES).new; exit 1; }

dashboards: venv  ## write Grafana's dashboards into the chart
	@$(PYTHON) -m cetacean_tools.dashboards

# Pages that are written from code, by the module that prints them.
settings: WRITTEN_BY := cetacean_tools.pages.settings
command-line: WRITTEN_BY := cetacean_tools.pages.command_line
reference: WRITTEN_BY := cetacean_tools.pages.reference
metrics: WRITTEN_BY := cetacean_tools.pages.metrics
settings: venv  ## write the table of all settings from the classes that read them
command-line: venv  ## write the page of the command line from its help texts
reference: venv  ## write the reference of the resource from the CRD
metrics: venv  ## write the page of all metrics from both programs' registries
settings command-line reference metrics:
	@$(PYTHON) -m $(WRITTEN_BY) > docs/$@.md.new && mv docs/$@.md.new docs/$@.md || { rm -f docs/$@.md.new; exit 1; }

site: venv  ## the documentation as a site in the cache; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet --strict --site-dir "$(CETACEAN_CACHE)/site"

fmt: venv  ## format the code and repair what the linter can
	@$(PYTHON) -m ruff format . && $(PYTHON) -m ruff check --fix .

IMAGE_LOCK := $(VENV)/bin/uv pip compile --quiet --no-header --generate-hashes --python-version 3.13 \
	--python-platform x86_64-manylinux_2_40
lock: venv  ## resolve the dependencies again, for development and for the images
	@$(VENV)/bin/uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 --all-extras \
	  -o requirements.lock pyproject.toml
	@$(IMAGE_LOCK) --extra operator -o operator/requirements.lock pyproject.toml
	@$(IMAGE_LOCK) --extra inference --extra openvino --extra signing --override inference/debian-torch.overrides.txt \
	  -o inference/requirements.lock pyproject.toml
	@$(IMAGE_LOCK) --extra inference --extra openvino --extra signing --extra mask --override inference/debian-torch.overrides.txt \
	  --constraint inference/requirements.lock -o inference/requirements-mask.lock pyproject.toml
	@$(IMAGE_LOCK) --extra test --extra scripts --constraint inference/requirements.lock \
	  $$(sed -nE 's/^([a-z0-9.-]+)==.*/--no-emit-package \1/p' inference/requirements.lock) \
	  -o tests/image/requirements.lock pyproject.toml
	@$(VENV)/bin/uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 \
	  --group supply-chain -o supply-chain.lock
	@cd benchmarks/serving/requirements; for peer in litserve bentoml ray kserve; do $(VENV)/bin/uv pip compile --quiet \
	  --no-header --no-annotate --generate-hashes --universal --python-version 3.11 -o $$peer.lock $$peer.in; done

##@ Supply chain
.PHONY: sbom audit
# Tools that look at the locks from outside live in an environment of their own.
SUPPLY := $(CETACEAN_CACHE)/supply-chain-$(shell sha256sum supply-chain.lock | cut -c1-16)
LOCKS := operator/requirements.lock inference/requirements.lock inference/requirements-mask.lock
$(SUPPLY)/done: | venv
	@$(VENV)/bin/uv venv --quiet --clear --python "$(PYTHON)" "$(SUPPLY)"
	@$(VENV)/bin/uv pip sync --quiet --python "$(SUPPLY)/bin/python" --require-hashes supply-chain.lock && touch "$@"

sbom: $(SUPPLY)/done  ## a CycloneDX bill of materials for each image's Python packages, in dist/
	@mkdir -p dist
	@for lock in $(LOCKS); do bom="$${lock/\/requirements}"; bom="dist/$${bom%.lock}.cdx.json"; \
	  "$(SUPPLY)/bin/cyclonedx-py" requirements "$$lock" \
	  --output-reproducible --output-format JSON --output-file "$$bom" && echo "$$bom"; done

audit: $(SUPPLY)/done  ## ask PyPI for known vulnerabilities of what the images hold; what it does not know is an error
	@for lock in $(LOCKS); do "$(SUPPLY)/bin/pip-audit" --strict --require-hashes --disable-pip --progress-spinner off \
	  --requirement "$$lock" || exit 1; done

.PHONY: help
help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
