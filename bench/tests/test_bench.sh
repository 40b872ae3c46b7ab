#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-bench itself: a tiny matrix of every way and policy whose counts are known, other engines, several
# guests, and bad command lines. Speeds are not looked at.
set -u
BENCH=$1/bench/vgrant-bench
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT

fail()
{
	echo "e2e-bench: $1" >&2
	[ ! -s "$DIR/out" ] || tail -n 60 "$DIR/out" >&2
	exit 1
}

# bench OPTION…: DIR/out gets what it says, DIR/json and DIR/csv what it writes.
bench()
{
	"$BENCH" --seconds 0.02 --rounds 2 --runs 1 --json "$DIR/json" --csv "$DIR/csv" "$@" >"$DIR/out" 2>&1 ||
		fail "vgrant-bench $* gives status $?"
}

# holds EXPRESSION: of the JSON in r, and its points by name in p.
holds()
{
	python3 - "$DIR/json" "$1" <<-'END' || fail "this does not hold: $1"
		import json, sys
		r = json.load(open(sys.argv[1]))
		p = {x["way"] + "+" + x["policy"]: x for x in r["points"]}
		sys.exit(not eval(sys.argv[2]))
	END
}

# Counts that no machine changes.
bench --way all --policy all
holds 'r["format"] == 2 and len(r["points"]) == 12 and len(r["comparisons"]) == 11 and not r["left_out"]'
holds 'all(x["requests"] > 0 and x["requests_per_second"]["median"] > 0 for x in r["points"])'
holds 'all(p[n]["per_request"]["grant_operations"] == 0 for n in ("foreign+direct", "region+direct", "region+bounce", "region+fat"))'
holds 'all(p[n]["per_request"]["bytes_copied_by_guest"] == 4096 == p[n]["per_request"]["bytes_zeroed_by_guest"] for n in ("region+bounce", "region+fat"))'
holds 'p["region+direct"]["per_request"]["bytes_copied_by_guest"] == 0'
# Data; and with grant header, indirect table of three descriptors, and status.
holds 'p["copy+hybrid"]["per_request"]["bytes_copied_by_hypervisor"] == 4096'
holds 'p["copy+grant"]["per_request"]["bytes_copied_by_hypervisor"] == 4096 + 16 + 48 + 1'
holds 'p["map+hybrid"]["per_request"]["grant_operations"] == 2 == p["map-batch+hybrid"]["per_request"]["grant_operations"]'
# Each of table, header, data, status is mapped and unmapped; data and status together where that is batched.
holds 'p["map+grant"]["per_request"]["grant_operations"] == 8 and p["map-batch+grant"]["per_request"]["grant_operations"] == 6'
holds 'p["foreign+direct"]["pages_reachable"] == p["foreign+direct"]["guest_pages"] > 10 * p["region+fat"]["pages_reachable"]'
# Every request but those of warm-up is in the histogram, and its quantiles are in order.
holds 'all(sum(n for _, n in x["latency_ns"]["histogram"]) == x["requests"] for x in r["points"] if x["way"] != "memcpy")'
holds 'all(x["latency_ns"]["p50"] <= x["latency_ns"]["p99"] <= x["latency_ns"]["p999"] <= x["latency_ns"]["max"] for x in r["points"] if x["way"] != "memcpy")'
[ "$(wc -l <"$DIR/csv")" -eq 13 ] || fail "the CSV has $(wc -l <"$DIR/csv") lines instead of 13"
awk -F, 'NR == 1 { n = NF } NF != n { exit 1 }' "$DIR/csv" || fail "the lines of the CSV differ in their number of fields"

# Data of many segments: one mapping each, or one for all.
bench --way map,map-batch --policy hybrid --size 64k --depth 4 --op write
holds 'p["map+hybrid"]["per_request"]["grant_operations"] >= p["map-batch+hybrid"]["per_request"]["grant_operations"] == 2'

# Disks, several queues and guests, polling, idle.
for engine in memory file; do
	bench --way region,copy --policy bounce,hybrid --engine $engine --op read,write --size 16k --depth 4 --queues 2
	holds 'len(r["points"]) == 4 and r["points"][2]["op"] == "write" and r["points"][2]["group"] == 1'
	holds 'all(x["per_request"]["system_calls"] > 0 for x in r["points"])'
	holds 'len(r["left_out"]) == 2'
done
bench --way region --policy fat --guests 1,3 --depth 2 --poll-us 0,20 --idle 0.1
holds '[x["guests"] for x in r["points"]] == [1, 3, 1, 3] and r["comparisons"][2]["name"] == "region+fat poll 20 3 guests/region+fat poll 0 1 guest"'
holds 'all(0 <= x["slowest_guest"] <= 1 for x in r["points"])'
holds '[x["idle"]["pss_bytes"] > 0 for x in r["points"] if "idle" in x] == [True, True]'
grep -q 'idle: ' "$DIR/out" || fail "the table says nothing of idle guests"
grep -q 'engine null$' "$DIR/out" || fail "the heading tells of one line what is another in the next"
# More than a driver domain can have with xenstored's usual quotas.
bench --way region --policy bounce --guests 60 --depth 1
holds 'r["points"][0]["guests"] == 60'

# As many pairs of processes as guests.
bench --way eventfd,memcpy,region --policy direct --guests 1,3 --depth 1
holds '[(x["way"], x["guests"]) for x in r["points"]] == [("eventfd", 1), ("eventfd", 3), ("memcpy", 1), ("region", 1), ("region", 3)]'
holds 'all(sum(n for _, n in x["latency_ns"]["histogram"]) == x["requests"] > 0 for x in r["points"] if x["way"] == "eventfd")'
holds '[c["name"] for c in r["comparisons"]] == ["eventfd 3 guests/eventfd 1 guest", "memcpy/eventfd", "region+direct/eventfd", "region+direct 3 guests/eventfd 1 guest"]'

# Data all over 8 MiB: all of it is reachable, where it is not bounced; shared out among the guests.
bench --way memcpy,region --policy direct,bounce --guests 1,2 --depth 2 --size 64k --span 0,8m
holds 'len(r["points"]) == 10 and [x["span"] for x in r["points"]] == [0] * 5 + [8 << 20] * 5'
holds '[x["pages_reachable"] > 2048 for x in r["points"] if x["guests"] == 1 and x["policy"] != "none"] == [False, False, True, False]'
holds '[1024 < x["pages_reachable"] < 2048 for x in r["points"] if x["guests"] == 2] == [False, False, True, False]'
grep -q 'data in 8 MiB' "$DIR/out" || fail "the table does not say where the data lies"

# stopped LIMIT WORDS: unless vgrant-bench, process $pid, ends within LIMIT seconds and with an error, WORDS are what fails.
stopped()
{
	timeout "$1" tail --pid=$pid -s 0.1 -f /dev/null || { kill -KILL $pid; fail "$2"; }
	wait $pid && fail "$2: it says that all went well"
}

# An interrupt ends any run; a process that is gone is missed.
for way in memcpy eventfd; do
	"$BENCH" --way $way --guests 8 --seconds 30 --rounds 1 --runs 1 >"$DIR/out" 2>&1 &
	pid=$!
	sleep 0.5
	kill -TERM $pid
	stopped 20 "an interrupt does not end $way"
done
# The programs that are started between runs do not make memcpy fault on each page that it writes to next.
"$BENCH" --way memcpy --span 64m --seconds 30 --rounds 1 --runs 1 >"$DIR/out" 2>&1 &
pid=$!
for ((n = 0; n < 100; n++)); do
	areas=$(awk '/^Size:/ { size = $2 } /^VmFlags:/ && size >= 65536 { n += / dc( |$)/ } END { print n + 0 }' /proc/$pid/smaps)
	[ "$areas" -eq 0 ] || break
	sleep 0.1
done
kill -TERM $pid
stopped 20 "an interrupt does not end memcpy"
[ "$areas" -gt 0 ] || fail "the memory of memcpy is copied for each program that is started"
"$BENCH" --way eventfd --guests 8 --seconds 60 --rounds 1 --runs 1 >"$DIR/out" 2>&1 &
pid=$!
until children=$(cat /proc/$pid/task/$pid/children) && [ "$(wc -w <<<"$children")" -eq 16 ]; do
	sleep 0.05
done
kill -KILL "${children%% *}"
stopped 20 "a process of eventfd ends, and nobody misses it"
grep -q 'a process of eventfd has ended' "$DIR/out" || fail "it does not say which process has ended"
"$BENCH" --way region --policy direct --guests 2 --seconds 60 --rounds 1 --runs 1 >"$DIR/out" 2>&1 &
pid=$!
# Of its children it has vgrantd's worker for each guest.
daemon=
until [ -n "$daemon" ]; do
	kill -0 $pid || fail "vgrant-bench ends before it has begun: $(cat "$DIR/out")"
	read -ra children </proc/$pid/task/$pid/children || true
	for child in "${children[@]}"; do
		[ "$(wc -w </proc/"$child"/task/"$child"/children)" -ne 2 ] || daemon=$child
	done
	sleep 1
done
kill -KILL "$daemon"
stopped 20 "vgrantd is killed, and nobody misses it"
grep -q 'vgrantd has ended' "$DIR/out" || fail "it does not say that vgrantd has ended: $(cat "$DIR/out")"

# refused STATUS OPTION…: with a reason, before anything is measured.
refused()
{
	local want=$1 status
	shift
	timeout 20 "$BENCH" "$@" >"$DIR/out" 2>&1
	status=$?
	[ $status -eq "$want" ] || fail "vgrant-bench $* gives status $status instead of $want"
	grep -q '^vgrant-bench: ' "$DIR/out" || fail "vgrant-bench $* gives no reason"
}

for bad in '--way none' '--policy region' '--size 64' '--size 1000' '--size 2m' '--depth 0' '--depth 257' '--queues 5' \
	'--span 600m' '--span x' '--guests 0' '--guests 257' '--poll-us x' '--engine disk' '--op flush' '--seconds 0' '--rounds 0' '--runs -1' \
	'--idle 0' '--scheduler fifo' '--placement near' 'quick' '--unknown'; do
	# Option and value are two words.
	# shellcheck disable=SC2086
	refused 2 $bad
done
refused 2 --way region --policy grant
refused 2 --way region --size 1m --depth 256
refused 1 --json "$DIR/none/json"
# Nor is the first group measured, when a later one cannot be.
refused 1 --way region --policy direct --guests 1-256 --span 0,8m --seconds 60
exit 0
