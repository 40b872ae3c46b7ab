#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-peers: it measures our engine, notices engines that do less than they are asked, and refuses bad
# input in words. bench/peers/run, and what it builds of others, is in the part "report" of tests/run.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1
peers=$build/bench/peers
liar=$build/tests/bench/liar.so

# run OPTION…: its status is in $status.
run()
{
	status=0
	"$peers/vgrant-peers" "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

run --runs 20 --starts 2 --json "$dir/json" "$peers/plain.so" "$peers/regions.so"
[ $status -eq 0 ] || fail "measuring our engine gives status $status"
# Two views, one and three descriptors, three kinds of work.
[ "$(grep -c '"engine": "vgrant' "$dir/json")" -eq 12 ] || fail "the JSON has not twelve rows"
[ "$(grep -c '^  vgrant, ' "$dir/out")" -eq 12 ] || fail "the table has not twelve rows"
awk -F'"ns": ' '/"ns":/ { split($2, v, ","); if (v[1] <= 0) exit 1; if ($0 !~ /"runs": 20,/) exit 1 }' "$dir/json" ||
	fail "a row of the JSON has no time, or not 20 runs"

run --runs 20 --starts 1 --only honest "$liar"
[ $status -eq 0 ] || fail "an honest engine of another's is refused"
# refused ENGINE WORDS
refused()
{
	run --runs 20 --starts 1 --only "$1" "$liar"
	[ $status -eq 1 ] || fail "the engine $1 gives status $status"
	grep -q "$1.*$2" "$dir/err" || fail "it is not said what is wrong with $1"
}
refused other-chain "another chain came back"
refused other-length "a wrong length"
refused other-address "resolved an address or a length to another"
refused too-few "a whole batch"

usage 2 "--runs 19: not a number from 20" --runs 19 "$liar"
usage 2 "--runs x: not a number from 20" --runs x "$liar"
usage 2 "--starts 0: not a number from 1" --starts 0 "$liar"
usage 2 "--turns -1: not a number from 1" --turns -1 "$liar"
usage 2 "name at least one shared object"
usage 2 "try 'vgrant-peers --help'" --nonsense "$liar"
usage 1 "is no engine" --runs 20 --starts 1 "$dir/none.so"
usage 1 "there is no such engine" --runs 20 --starts 1 --only none "$liar"
usage 1 "cannot write" --json "$dir/none/json" "$liar"
run --help
[ $status -eq 0 ] || fail "--help gives status $status"
grep -q '^Usage: vgrant-peers' "$dir/out" || fail "--help gives no help"
