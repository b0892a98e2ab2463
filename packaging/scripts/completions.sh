#!/bin/sh
# Writes the completions of every shell into the folder $1.
set -eu
mkdir -p "$1"
for shell in bash zsh fish; do
	go run ./cmd/glassq completion "$shell" >"$1/glassq.$shell"
done
