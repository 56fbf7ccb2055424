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
lock airflow/image.in airflow/image.lock 3.10 "$@"
lock airflow/tools.in airflow/tools.lock 3.10 "$@"
lock dev/checkov.in dev/checkov.lock 3.10 "$@"
lock bench/requirements.in bench/requirements.lock 3.10 "$@"
# What shares an environment or a process with Airflow (MySQL's drivers; pytest, moto) must agree with its lock.
constraints=${TMPDIR:-/tmp}/ductwork-constraints.$$
trap 'rm -f "$constraints"' EXIT
grep -v -e '--hash' airflow/requirements.lock | sed 's/ *\\$//' >"$constraints"
lock airflow/requirements-mysql.in airflow/requirements-mysql.lock 3.10 --constraints "$constraints" "$@"
lock dev/requirements.in dev/requirements.lock 3.10 --constraints "$constraints" "$@"
