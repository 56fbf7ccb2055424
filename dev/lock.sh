#!/usr/bin/env bash
# Makes the lock files again. Usage: UV=/path/to/uv dev/lock.sh [--upgrade] [--upgrade-package NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-uv}

lock() { # in, lock, python, further arguments
    local source=$1 lock=$2 python=$3
    shift 3
    "$uv" pip compile --quiet --universal --generate-hashes --python-version "$python" \
        --no-emit-index-url --custom-compile-command "dev/lock.sh" "$@" -o "$lock" "$source"
}

lock airflow/requirements.in airflow/requirements.lock 3.10 "$@"
lock airflow/tools.in airflow/tools.lock 3.10 "$@"
lock dev/checkov.in dev/checkov.lock 3.10 "$@"
lock bench/requirements.in bench/requirements.lock 3.10 "$@"
# The dev tools that share a process with Airflow (pytest, moto) must agree with its lock on common packages.
grep -v -e '--hash' airflow/requirements.lock | sed 's/ *\\$//' >"${TMPDIR:-/tmp}/ductwork-constraints.$$"
trap 'rm -f "${TMPDIR:-/tmp}/ductwork-constraints.$$"' EXIT
lock dev/requirements.in dev/requirements.lock 3.10 --constraints "${TMPDIR:-/tmp}/ductwork-constraints.$$" "$@"
