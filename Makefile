SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup system generate verify unit processes llamafactory cluster-test e2e node-loss test docs local demo images lock release audit faults outage \
        fuzz-readers bench-failover bench-scale bench-latency bench-start bench-overhead bench-convert cluster-down clean

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider
# Everything is found in the environment that setup makes: kubectl, ruff and the rest.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/hack$(if $(PYTHONPATH),:$(PYTHONPATH))

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Python environment in .venv, as locked (quick when nothing changed)
	@hack/setup/python.sh

system: ## Debian packages for images and cluster, those that are missing
	@hack/setup/system.sh

generate: setup ## Regenerate what is derived from the models (CRD, its copy in the chart, references, dashboard)
	@$(PYTHON) -m sftrun_api.crd_generation --write .
	@$(PYTHON) -m sftrun_cli.reference_pages --write .
	@$(PYTHON) -m generate_llamafactory_catalogue
	@$(PYTHON) -m generate_dashboard
	@$(PYTHON) -m generate_metrics_page
	@$(PYTHON) -m generate_troubleshooting_page
	@$(PYTHON) -m generate_kustomize_base
	@$(PYTHON) -m template_families >.cache/templates.json && mv .cache/templates.json image/sftrun_data/templates.json

verify: setup ## Lint, types, import contract, generated files
	@ruff check .
	@ruff format --check .
	@lint-imports
	@mypy crds operator image cli hack bench tests
	@$(PYTHON) -m sftrun_api.crd_generation --check .
	@$(PYTHON) -m sftrun_cli.reference_pages --check .
	@$(PYTHON) -m generate_llamafactory_catalogue --check
	@$(PYTHON) -m generate_dashboard --check
	@$(PYTHON) -m generate_metrics_page --check
	@$(PYTHON) -m generate_troubleshooting_page --check
	@$(PYTHON) -m generate_kustomize_base --check
	@$(PYTHON) -m template_families | cmp - image/sftrun_data/templates.json

unit: setup ## Unit and property tests: two minutes
	@env -u PYTHONDONTWRITEBYTECODE $(PYTEST) -m "not processes and not cluster and not e2e and not nodes and not llamafactory" -n 3 --dist worksteal

processes: setup ## The tests that start our own processes: supervisor, pool, kills
	@env -u PYTHONDONTWRITEBYTECODE $(PYTEST) -m "processes and not llamafactory" -n 3 --dist worksteal

llamafactory: setup ## The tests that run the real LLaMA-Factory
	@$(PYTEST) -m "llamafactory and not cluster and not e2e" -n 2 --dist loadfile

cluster-test: setup system ## Tests on a real API server (light cluster, or KUBECONFIG)
	@$(PYTEST) -m "cluster and not e2e"

e2e: setup system ## Tests with real training on a real node (full cluster, or KUBECONFIG and REGISTRY)
	@$(PYTEST) -m e2e -n 3 --dist loadfile

node-loss: setup system ## A node of two goes away under a run, on a real cluster; three minutes
	@$(PYTEST) -m nodes -s

test: setup system ## Everything; what .ci/run calls
	@$(MAKE) --no-print-directory --keep-going verify docs unit processes llamafactory cluster-test e2e

docs: setup ## The documents as a site, in .cache/site; links and anchors are checked
	@hack/site/build.sh

local: setup ## The quickstart without a cluster and without root, in .cache/local
	@$(PYTHON) -m local_quickstart

demo: setup ## A real run on a real cluster, from nothing: installs, builds, starts, trains, shows
	@$(PYTHON) -m demo

images: setup system ## Both images, into .cache/images
	@hack/images/build.sh operator localhost/sftrun-operator:dev
	@hack/images/build.sh trainer localhost/sftrun-trainer:dev

lock: setup ## Recompile requirements/*.txt
	@hack/setup/lock.sh

release: setup system ## Everything that a release publishes, into dist/ (PARTS="notes packages manifests operator trainer")
	@$(PYTHON) -m release $(foreach part,$(PARTS),--only $(part))

audit: setup ## Known vulnerabilities of all locked packages; asks public databases over the internet
	@for file in operator trainer dev; do \
	  UV_SYSTEM_CERTS=1 .cache/tools/uv/bin/uv tool run --quiet pip-audit@2.10.1 --strict --disable-pip --require-hashes \
	    -r requirements/$$file.txt; \
	done

fuzz-readers: setup ## Damaged logs through every reader, ten minutes each, side by side
	@nice -n 19 $(PYTHON) hack/fuzz_readers.py

faults: setup system ## Every fault of every API call of a run's life (CI runs a sample); under an hour
	@PYTHONPATH=.:$$PYTHONPATH $(PYTHON) -m tests.faults

outage: setup system ## Ten minutes without the API server, and what becomes of everything meanwhile
	@PYTHONPATH=.:$$PYTHONPATH $(PYTHON) -m tests.faults.outages

bench-failover: setup system ## From kill -9 of the leading operator to what the other one does
	@$(PYTHON) bench/failover.py

bench-latency: setup system ## apply to Job visible, writes a run, idle writes
	@$(PYTHON) bench/latency.py

bench-scale: setup system ## 1,000 and 10,000 runs, 1,000 polled pods, 1,000 malformed runs (PARTS="floor ruleless schemaless thousand ten polls malformed"; "kubeflow thousand" against Kubeflow Trainer beside it)
	@$(PYTHON) bench/scale.py $(PARTS)

bench-start: setup system ## apply to first training step, and where the time goes
	@$(PYTHON) bench/start.py

bench-convert: setup ## conversion: speed against plain parsing, scaling, memory (SIZE=small|full)
	@$(PYTHON) bench/convert.py --size $(or $(SIZE),full)

bench-overhead: setup ## training under sftrun against bare LLaMA-Factory
	@$(PYTHON) bench/overhead.py

cluster-down: setup ## Stop the cluster that demo and e2e leave up
	@$(PYTHON) -m cluster down

clean: ## Stop the cluster and remove every cache (a rebuild takes minutes)
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m cluster down || true; fi
	@rm -rf .cache .venv
