# The two that a newcomer needs: `make demo` and `make test`. The others are parts of them or longer.
.PHONY: api-test demo cluster test lint unit web-test soak bench fuzz fmt deps-test

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
CARGO_DENY_VERSION := 0.20.2

## Build a release, start everything, publish a test stream, print the links; Ctrl-C stops it.
demo:
	scripts/deps.sh demo
	$(CARGO) build --release --locked -p weir
	scripts/demo.sh

## The same as a cluster on this machine: MongoDB, a load balancer, two origins, two edges.
cluster:
	scripts/deps.sh cluster
	$(CARGO) build --release --locked -p weir
	scripts/cluster.sh

## Everything CI holds: lints, unit tests, the whole house through real clients.
test: lint unit web-test

deps-test:
	scripts/deps.sh test

lint: deps-test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p weir-lb -p weir --features weir-lb/openssl --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	scripts/deny.sh $(CARGO_DENY_VERSION)

## Real mongod: without it the tests that need one would only say that they were not run.
unit: deps-test
	WEIR_REQUIRE_MONGOD=1 WEIR_MONGOD=$$(scripts/mongod.sh) \
		$(CARGO) test --locked --workspace --no-fail-fast
	$(CARGO) test --locked -p weir-lb --features openssl --no-fail-fast -- tls

web-test: deps-test
	cd web && npm ci --silent && npm run lint && npm test

## Generated requests to every path of the OpenAPI documents, answers checked against them.
api-test:
	$(CARGO) build --locked -p weir
	scripts/api-test.sh

## Minutes-long runs and kill loops of hundreds; their figures go into release notes.
soak: deps-test
	$(CARGO) build --release --locked -p weir
	WEIR_REQUIRE_MONGOD=1 WEIR_MONGOD=$$(scripts/mongod.sh) WEIR_SOAK=200 \
		$(CARGO) test --release --locked -p weir-cluster --test store -- kill --nocapture --test-threads=1
	WEIR_REQUIRE_MONGOD=1 WEIR_MONGOD=$$(scripts/mongod.sh) \
		$(CARGO) test --release --locked -p weir-cluster --test store -- \
		half_a_minute what_ --ignored --nocapture --test-threads=1
	WEIR_REQUIRE_MONGOD=1 WEIR_MONGOD=$$(scripts/mongod.sh) \
		$(CARGO) test --release --locked -p weir --test house -- --ignored --nocapture --test-threads=1
	$(MAKE) api-test
	cd web && npm ci --silent && npm run test:browser

## Side by side with nginx on this machine, and what a discovery hit costs; prints figures.
bench:
	scripts/deps.sh bench
	$(CARGO) build --release --locked -p weir
	benches/run.sh

## Hostile bytes to the parsers, FUZZ_SECONDS each. Needs the nightly toolchain and cargo-fuzz.
FUZZ_SECONDS ?= 60
fuzz:
	for target in nginx_conf map_rewrite proxy_protocol; do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

fmt:
	$(CARGO) fmt --all
