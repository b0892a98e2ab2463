#!/bin/sh
# Puts N tasks (10 if not said) in one batch: the ids make it safe to run again.
server=${GLASSQ_SERVER:-http://127.0.0.1:5080}

seq 1 "${1:-10}" |
	jq -c '{id: "shell-\(.)", body: "http://localhost:8888/?q=\(.)"}' |
	curl -sSf -H 'Content-Type: application/x-ndjson' --data-binary @- "$server/v1/queues/tasks/tasks?answer=count"
