#!/usr/bin/env bash
# Fetches Debian's Python for arm64 into .ductwork/servers/arm64: files alone, nothing of it is configured. With
# qemu-aarch64-static it runs what an image for arm64 has. Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
files=.ductwork/servers/arm64
[ ! -e "$files" ] || exit 0
work=$(mktemp -d -p "$(mkdir -p .ductwork/servers && echo .ductwork/servers)")
trap 'rm -rf "$work"' EXIT
debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,ca-certificates bookworm "$work/root" >&2
for package in "$work"/root/var/cache/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
done
rm -rf "$work"/root/var/cache/apt "$work"/root/debootstrap
chmod 755 "$work/root"
mv "$work/root" "$files"
