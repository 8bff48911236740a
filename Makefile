# Everything a person who works on Promgate starts with. Each target does all the set-up that it needs on a Debian or
# Ubuntu machine with Node.js >= 20 and npm, and nothing twice.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# Node 24 comes with `npm ci` as a development dependency and stands first on the path. The installation itself runs on the
# system's, because it removes that one; npm would warn that it is too old for some packages.
SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Changes when package-lock.json does, and is gone when node_modules is.
STAMP := node_modules/.installed

.PHONY: help demo test check fuzz bench dev

help: ## what there is
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile

demo: $(STAMP) ## a Prometheus, a small directory, a token and a curl line to paste; Ctrl-C ends it
	@exec bin/promgate demo --install $(ARGS)

test: $(STAMP) ## all checks and all tests
	@scripts/system-packages.sh prometheus victoria-metrics postgresql redis-server openssl
	@npm test

check: $(STAMP) ## types, lint and unused code
	@npm run check

fuzz: $(STAMP) ## changed queries, bodies and paths against a confined endpoint, for FUZZ_SECONDS (300)
	@scripts/system-packages.sh prometheus victoria-metrics postgresql
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-300} npm run fuzz

bench: $(STAMP) ## throughput beside the server itself, vmauth and a bare proxy
	@scripts/system-packages.sh prometheus victoria-metrics redis-server wrk
	@npm run bench

dev: $(STAMP) ## serve from the sources, started anew at each change; data in .cache/dev
	@exec npm run dev

$(STAMP): package-lock.json
	@PATH='$(SYSTEM_PATH)' command -v npm >/dev/null || { echo 'npm is missing. Install Node.js 20 or newer with npm.' >&2; exit 1; }
	@echo 'npm ci'
	@PATH='$(SYSTEM_PATH)' npm ci --loglevel=error
	@touch $@
