#!/usr/bin/env bash
# Runs a command while six processes keep every core busy. Usage: dev/busy.sh cargo test
set -euo pipefail
spinning=()
trap 'kill "${spinning[@]}"' EXIT
for _ in 1 2 3 4 5 6; do
    (while :; do :; done) &
    spinning+=($!)
done
"$@"
