#!/usr/bin/env bash
# Builds the programs of another commit and has them and those of this tree take over from each other in the middle of
# traffic, there and back: deploy/machine/upgrade.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=$(git rev-parse --verify "${1:?a commit: make upgrade FROM=COMMIT}^{commit}")
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/upgrade"
target=$(cd "$target" && pwd)
tree="$target/upgrade/$commit"

if [ ! -d "$tree" ]; then
    git worktree add --detach "$tree" "$commit"
fi
trap 'git worktree remove --force "$tree"' EXIT
(cd "$tree" && CARGO_TARGET_DIR="$target/upgrade/target" cargo build --locked --release --workspace --bins)
PP_OTHER_BIN_DIR="$target/upgrade/target/release" \
    cargo test --locked --release --workspace --test e2e -- upgrade::
