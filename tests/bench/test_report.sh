#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-bench --report: the page holds the plots and the figures of the files that it is given, and needs
# no other; and what it refuses.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1
export VGRANT_BUILD=$build

# run OPTION…: its status is in $status.
run()
{
	status=0
	"$top/bench/vgrant-bench" --report "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

# point WAY POLICY SIZE DEPTH GUESTS RATE
point()
{
	printf '{"group": 0, "way": "%s", "policy": "%s", "engine": "null", "op": "read", "size": %d, "depth": %d, "queues": 1, "poll_us": 0, "guests": %d,
	"requests_per_second": {"median": %d, "low": %d, "high": %d}, "gb_per_second": {"median": 1.5, "low": 1.4, "high": 1.7},
	"latency_ns": {"p50": 7125, "p99": 9000, "p999": 12000, "max": 15000, "histogram": [[7000, 600], [7250, 300], [9000, 99], [15000, 1]]},
	"per_request": {"backend_cpu_ns": 432, "guest_cpu_ns": 321, "grant_operations": 4, "bytes_copied_by_hypervisor": 4161, "bytes_copied_by_guest": 0, "system_calls": 0.2, "notifications": 0.05},
	"pages_reachable": 38, "guest_pages": 16384, "slowest_guest": 0.9}' "$1" "$2" "$3" "$4" "$5" "$6" $(($6 - 100)) $(($6 + 100))
}

# bench HYPERVISOR: what vgrant-bench writes.
bench()
{
	local way size guests sep=
	printf '{"format": 2, "hypervisor": "%s", "machine": {"cpus": 2, "cpu": "A <CPU> & more", "kernel": "6.12"}, "scheduler": "batch", "points": [' "$1"
	for size in 512 4096 65536; do
		for way in foreign+direct region+bounce copy+grant; do
			printf '%s' "$sep"
			point "${way%+*}" "${way#*+}" $size 32 1 $((7654321 - size))
			sep=','
		done
	done
	for guests in 1 8 64; do
		printf ',' && point region bounce 4096 8 $guests 8000
	done
	printf ',' && point region bounce 4096 1 1 7000
	printf '], "comparisons": [{"name": "x", "a": 1, "b": 0, "size": 512, "depth": 32, "pairs": 9, "ratio": 0.876, "low": 0.8, "high": 0.9, "distinguishable": true},
	{"name": "y", "a": 2, "b": 0, "size": 512, "depth": 32, "pairs": 9, "ratio": 1.003, "low": 0.9, "high": 1.1, "distinguishable": false}], "left_out": []}\n'
}

bench simulated >"$dir/bench.json"
cat >"$dir/micro.json" <<'END'
{"hypervisor": "simulated", "operations": [
 {"name": "grant map", "batch": 1, "unit": "page", "ns": 100, "ns_each": 100.0}, {"name": "grant map", "batch": 64, "unit": "page", "ns": 640, "ns_each": 10.0}]}
END
cat >"$dir/peers.json" <<'END'
{"batch": 32, "engines": [{"engine": "ours", "work": "popped", "descriptors": 1, "ns": 10.0, "against": "ours", "ratio": 1, "distinguishable": false},
 {"engine": "<theirs>", "work": "popped", "descriptors": 1, "ns": 12.5, "against": "ours", "ratio": 1.25, "distinguishable": true}]}
END

run "$dir/page" "$dir/bench.json" "$dir/micro.json" "$dir/peers.json"
[ $status -eq 0 ] || fail "it gives status $status"
page=$dir/page/index.html
for plot in sizes exposure costs latency guests micro; do
	grep -q "<h2 id=\"$plot\">" "$page" || fail "the page has no plot $plot"
done
[ "$(grep -c '<svg' "$page")" -eq 6 ] || fail "the page has not six pictures"
# Nothing is fetched: the only addresses are names of XML.
! sed 's|http://www.w3.org/[0-9a-zA-Z/]*||g' "$page" | grep -qE 'https?://|<script|<link|<img|@import' || fail "the page needs something from elsewhere"
! grep -q 'NaN\|nan<\|inf<' "$page" || fail "a figure on the page is none"
# Every picture's names are its own, and in the page's colours.
[ -z "$(grep -o "id=['\"][^'\"]*" "$page" | sort | uniq -d)" ] || fail "two pictures share a name"
! grep -q "fill=\"black\"\|stroke=\"black\"\|stroke='black'" "$page" || fail "a picture is black on a dark page"
# In the table: a rate, the CPU times in microseconds, the exposure; comparisons; what other programs are called.
for words in '<td>7650225</td><td>0.43</td><td>0.32</td><td>4</td><td>4161</td>' '38 of 16384' '0.876</td><td>0.800 to 0.900</td><td></td>' \
	'1.003</td><td>0.900 to 1.100</td><td>cannot tell' '&lt;theirs&gt;' '12.5</td><td>1.25' 'A &lt;CPU&gt; &amp; more' '<td>7.12</td><td>9.00</td>' \
	'Measured on the simulated hypervisor' 'Prediction for real hardware' 'qubes-2026.json'; do
	grep -qF -- "$words" "$page" || fail "the page does not say: $words"
done

# On Xen there is nothing to warn of, and of one size and one guest there are fewer plots.
bench "Xen 4.17" >"$dir/xen.json"
run "$dir/page" "$dir/xen.json"
[ $status -eq 0 ] || fail "figures of Xen give status $status"
! grep -q 'Measured on the simulated' "$page" || fail "figures of Xen are called simulated"
! grep -q '<h2 id="micro">' "$page" || fail "a plot has no figures"

usage 2 "needs a directory"
usage 2 "needs a directory" --quick
usage 1 "cannot read" "$dir/page" "$dir/none.json"
usage 1 "no file has figures of vgrant-bench" "$dir/page" "$dir/micro.json"
usage 1 "of another hypervisor" "$dir/page" "$dir/bench.json" "$dir/xen.json"
sed 's/"format": 2/"format": 3/' "$dir/bench.json" >"$dir/new.json"
usage 1 "format 3 of vgrant-bench is not known" "$dir/page" "$dir/new.json"
sed 's/"a": 1/"a": 100/' "$dir/bench.json" >"$dir/wrong.json"
usage 1 "a comparison is of points that are not there" "$dir/page" "$dir/wrong.json"
echo '{"format": 2, "points": []}' >"$dir/empty.json"
usage 1 "there is no point" "$dir/page" "$dir/empty.json"
echo '{}' >"$dir/other.json"
usage 1 "was written by none of" "$dir/page" "$dir/other.json"
echo '{' >"$dir/cut.json"
usage 1 "cannot read" "$dir/page" "$dir/cut.json"
usage 1 "cannot make" "$dir/bench.json/x" "$dir/bench.json"
# Without gnuplot: its package is named.
mkdir "$dir/bin"
for program in bash dirname readlink; do
	ln -s "$(command -v $program)" "$dir/bin/"
done
status=0
PATH=$dir/bin "$top/bench/vgrant-bench" --report "$dir/page" "$dir/bench.json" >"$dir/out" 2>"$dir/err" || status=$?
[ $status -eq 1 ] || fail "without gnuplot it gives status $status"
grep -q "package gnuplot-nox" "$dir/err" || fail "it does not say where gnuplot is"
"$top/bench/run" --nonsense 2>"$dir/err"
[ $? -eq 2 ] || fail "bench/run takes an option that there is not"
