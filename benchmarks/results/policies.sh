#!/bin/sh
# Prints what docs/POLICIES.md quotes: benchmarks/results/policies.sh > benchmarks/results/policies.txt
set -eu
cd "$(dirname "$0")/../scenarios"
go build -o /tmp/weir-policies ../..
trap 'rm -f /tmp/weir-policies' EXIT
echo "# commit $(git rev-parse --short HEAD)"
weir() {
	printf '\n$ weir %s\n' "$*"
	NO_COLOR=1 /tmp/weir-policies "$@"
}
for scenario in e01-supermarket e03-slow-endpoint e04-antagonists e07-unequal-servers e08-bounded-loads e10-retry-storm two-gateways; do
	weir sim $scenario.yaml
done
weir sim availability --mtbf 1000h --mttr 1h --units 3+1 --coverage 0.99
