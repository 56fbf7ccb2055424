#!/usr/bin/env bash
# Fetches a MySQL server for airflow/tests/test_mysql.py into .ductwork/servers/mysql; installs and starts nothing.
# Debian has MySQL in unstable only, so the libraries that it needs come along, down to the one of C.
set -euo pipefail
cd "$(dirname "$0")/.."
target=.ductwork/servers/mysql
[ ! -e "$target/.complete" ] || exit 0
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -r "$keys" ]; then
    echo "error: this is not Debian; install MySQL's server (mysqld) yourself, the tests find it" >&2
    exit 1
fi
# shellcheck disable=SC2016  # apt's own placeholder
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Identifier: Packages' | grep -v security | head -n 1)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/files"
echo "deb [signed-by=$keys] $mirror unstable main" >"$work/sources.list"
touch "$work/status" # nothing is installed, so everything that MySQL needs is downloaded
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o APT::Sandbox::User=root -o Debug::NoLocking=true "$@"
}
apt update
apt install --no-install-recommends --download-only --yes mysql-server-core
for package in "$work"/cache/archives/*.deb; do
    case "$package" in
    *perl*) ;; # for MySQL's scripts
    *) dpkg -x "$package" "$work/files" ;;
    esac
done
rm -rf "$target" "$work/files/usr/share/doc" "$work/files/usr/share/man"
mkdir -p "$(dirname "$target")"
mv "$work/files" "$target"
touch "$target/.complete"
