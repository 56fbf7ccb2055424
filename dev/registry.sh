#!/usr/bin/env bash
# Fetches Debian's registry of images for the tests into .ductwork/servers/registry; installs and starts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
target=.ductwork/servers/registry
[ ! -e "$target/.complete" ] || exit 0
command -v apt-get >/dev/null || {
    echo "error: this is not Debian; put docker-registry on the PATH yourself, the tests find it" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download docker-registry)
dpkg -x "$work"/docker-registry_*.deb "$work/files"
rm -rf "$target"
mkdir -p "$(dirname "$target")"
mv "$work/files" "$target"
touch "$target/.complete"
