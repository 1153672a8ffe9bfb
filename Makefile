# The two commands of the README, and what developers use. Each does its own set-up.

CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/release

.PHONY: run cluster drill upgrade test fire simulate bench check clean-data build needs

# The whole stack on this machine, until Ctrl-C. `exec`: when make is killed, `dev` notices.
run: build
	@exec $(BIN)/dev run

# The same as a cluster: three brokers, two shards, two of each service.
cluster: build
	@exec $(BIN)/dev run --cluster

# Every test, the end-to-end ones against real servers on free ports included.
test: build
	$(BIN)/dev fetch --tests
	$(CARGO) test --locked --release --workspace

# The fault rig: 200 schedules of faults, about an hour. FIRE_SCHEDULES=n more or fewer, FIRE_SEED=n one alone.
fire: build
	FIRE_SCHEDULES=$${FIRE_SCHEDULES:-200} $(CARGO) test --locked --release --package tests --test fire

# A million seeded schedules of faults against the counting code, in memory, with progress. SIMULATE_SCHEDULES=n more or
# fewer, SIMULATE_FROM=n from this seed on, SIMULATE_SEED=n one alone. Ends with an error and the seeds if any is wrong.
simulate: needs
	SIMULATE_SCHEDULES=$${SIMULATE_SCHEDULES:-1000000} $(CARGO) test --locked --release --workspace --test simulation -- \
		--nocapture the_truth_everywhere

# Backup under traffic, restore into an empty store, the rest from Kafka, and a comparison of everything.
drill: build
	@exec $(BIN)/dev drill

# The programs of another commit and of this tree take over from each other in traffic, there and back: FROM=COMMIT.
upgrade: build
	deploy/machine/upgrade.sh "$(FROM)"

# One line for each yardstick.
bench: build
	$(CARGO) bench --locked --package benches

# What a change must pass besides the tests.
check: needs
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --release --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; \
	then $(CARGO) deny check licenses bans sources; \
	else echo "SKIPPED: cargo-deny is not installed (cargo install cargo-deny)"; fi

# Forgets the data of all runs, not what was fetched.
clean-data: needs
	$(CARGO) build --locked --release --package dev
	@exec $(BIN)/dev clean-data

# `dev` is built first: it says within a minute what the machine lacks.
build: needs
	$(CARGO) build --locked --release --package dev
	$(BIN)/dev fetch
	$(CARGO) build --locked --release --workspace --bins

needs:
	@deploy/machine/needs.sh
