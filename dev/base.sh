#!/usr/bin/env bash
# Makes a small base image with Debian's Python for the tests of images, and pushes it. Usage: dev/base.sh NAME
# Needs root, debootstrap and Docker; the files are kept in .ductwork/servers/base.tar.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
files=.ductwork/servers/base.tar
if [ ! -e "$files" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$work/root" >&2
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    mkdir -p "$(dirname "$files")"
    tar -C "$work/root" -cf "$files.new" .
    mv "$files.new" "$files"
fi
docker import --change "ENV PYTHON_VERSION=3.11.2" "$files" "$name" >/dev/null
docker push --quiet "$name"
