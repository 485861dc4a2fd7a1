#!/usr/bin/env bash
# Runs a prompt with two requirements and shows the spans of its trace as Jaeger has them. `make demo-real` starts it
# beside a real Ollama and a real Jaeger, whose addresses are in the environment.
set -euo pipefail

code=0
result=$(go run ./cmd/mellea run "Explain in one sentence why the sky is blue." \
  --require "be easy to understand" --check max-words:25 \
  --option temperature=0.2 --option seed=3 --option max-tokens=60 --output json) || code=$?
echo "$result"

trace=$(sed -n 's/.*"trace_id":"\([0-9a-f]\{32\}\)".*/\1/p' <<<"$result")
if [[ -z $trace ]]; then
  echo "demo-real: the run left no trace" >&2
  exit "$((code > 0 ? code : 1))"
fi

url="$JAEGER_QUERY_URL/api/traces/$trace"
for _ in $(seq 50); do
  spans=$(curl -fsS "$url" 2>/dev/null | grep -o '"operationName":"[^"]*"' | cut -d'"' -f4 | sort | uniq -c) && [[ $spans == *"mellea run"* ]] && break
  sleep 0.1
done
echo
echo "Jaeger has the trace at $url :"
echo "$spans"
# A small model may miss its requirements: that is exit code 1 and no failure of the demonstration.
exit "$((code > 1 ? code : 0))"
