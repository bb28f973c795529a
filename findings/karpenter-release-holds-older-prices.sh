#!/usr/bin/env bash
# karpenter-provider-aws v1.15.0, of October 2026: the prices that it starts with, and keeps where it cannot ask AWS, are
# a table in its source. The guess was that a release has the prices of its month, for every region. The table for the
# commercial regions is three months older than the release, and holds one region; the other regions start without
# prices of their own.
# Seen: "generated at 2026-07-20" and us-east-1 alone. Needs Go.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
export GOMODCACHE=$folder/modules GOFLAGS=-mod=mod GOTOOLCHAIN=go1.27.3
module=$(go mod download -json github.com/aws/karpenter-provider-aws@v1.15.0 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
table=$module/pkg/providers/pricing/zz_generated.pricing_aws.go
generated=$(grep -o 'generated at [0-9-]*' "$table")
regions=$(grep -oE '^[[:space:]]+"[a-z]+-[a-z]+-[0-9]":' "$table" | tr -d '":[:space:]' | sort -u | tr '\n' ' ')
echo "$generated; regions: $regions"
[ "$generated" = "generated at 2026-07-20" ] && [ "$regions" = "us-east-1 " ] || { echo "the behaviour has changed" >&2; exit 1; }
