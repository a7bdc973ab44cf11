# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

CACHE ?= $(or $(GGUF_FLEET_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gguf-fleet)
VENV := $(CACHE)/venv
export GGUF_FLEET_CACHE := $(CACHE)
export PATH := $(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help venv lab lab-down test test-fast test-long lint docs build fuzz

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: ## the control side and the test tools, in the cache folder
	@tests/venv.sh $(VENV)

lab: venv ## provision the lab: three hosts in containers, a hub, a real model that answers
	@tests/lab/up.sh

lab-down: venv ## remove the lab
	@tests/lab/down.sh

test: venv ## everything that CI runs
	@tests/run.sh all

test-fast: venv ## lints and unit tests, for every edit
	@tests/run.sh fast

test-long: venv ## what takes minutes: hundreds of kills, long fuzzing
	@tests/run.sh long

bench-%: venv ## measure one subject of tests/bench: bench-plan, bench-merge, ...
	@tests/images/build.sh
	@python tests/bench/$*.py

fuzz: ## fuzz every subject of tests/fuzz for FUZZ_SECONDS (600) each
	@tests/fuzz/run.sh

fuzz-%: ## fuzz one subject: fuzz-gguf-header, fuzz-lock-file, ...
	@tests/fuzz/run.sh $*

docs: venv ## build the docs site, in the cache folder, and check its links
	@python docs/site/build.py $(CACHE)/docs

build: venv ## build the collection's tarball
	@ansible-galaxy collection build --force
