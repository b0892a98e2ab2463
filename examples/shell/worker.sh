#!/bin/sh
# A worker with curl and jq: takes up to 500 tasks, does them, acks them with their results.
# A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds.
server=${GLASSQ_SERVER:-http://127.0.0.1:5080}

while :; do
	leases=$(curl -sSf -X POST "$server/v1/queues/tasks/reserve?max=500&wait=10s&lease=10s") || { sleep 1; continue; }
	[ -n "$leases" ] || continue # none within 10 seconds
	nap=$(printf '%s\n' "$leases" | jq -s '[.[].body | objects | .sleep | numbers] | add // 0')
	sleep "$nap"
	# i is left out unless it is text: older versions of jq round large numbers.
	printf '%s\n' "$leases" | jq -c --argjson rt "$nap" '
		(.body | if type == "object" then . else {} end) as $job |
		{token, headers, result: (
			(if .b64 then {b64} elif (.body | type) == "string" then {i: .body} else {} end) +
			{o: {ok: (if $job.fail == true or ($job.sleep | type | . != "number" and . != "null") then 0 else 1 end), rt: $rt}})}' |
		curl -sSf -H 'Content-Type: application/x-ndjson' --data-binary @- "$server/v1/ack?answer=errors"
done
