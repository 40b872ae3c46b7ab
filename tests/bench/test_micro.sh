#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-micro measures every operation on the simulated hypervisor, leaves nothing behind, says what goes
# wrong, and refuses bad input in words.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1
export TMPDIR=$dir VGRANT_BUILD=$build
micro=$build/bench/micro/vgrant-micro

# run COMMAND…: its status is in $status.
run()
{
	status=0
	"$@" >"$dir/out" 2>"$dir/err" || status=$?
}

run "$top/bench/vgrant-micro" --rounds 3 --ms 1 --json "$dir/json"
[ $status -eq 0 ] || fail "measuring gives status $status"
grep -q '"hypervisor": "simulated"' "$dir/json" || fail "it does not say that the hypervisor is simulated"
[ "$(grep -c '"ns": [0-9]*[1-9]' "$dir/json")" -eq 30 ] || fail "the JSON has not 30 operations with a time"
for name in 'grant map' 'grant unmap' 'grant copy, 4 KiB' 'grant copy, 16 B'; do
	[ "$(grep -c "\"name\": \"$name\"" "$dir/json")" -eq 5 ] || fail "$name was not measured in five batches"
done
[ -z "$(find "$dir" -name 'vgm.*')" ] || fail "the simulated machine's directory stays behind"

# Without a guest: what needs none.
run "$micro" --rounds 3 --ms 1
[ $status -eq 0 ] || fail "measuring without a guest gives status $status"
[ "$(grep -c '/call$\|/round trip$\|GB/s$' "$dir/out")" -eq 5 ] || fail "without a guest not five operations were measured"

# A hypervisor that refuses is an error that is said.
export XENSIM_FAULT=grant_copy:status=-1:after=100
run "$top/bench/vgrant-micro" --rounds 3 --ms 1
unset XENSIM_FAULT
[ $status -eq 1 ] || fail "a refused copy gives status $status"
grep -q 'a page of domain 2 cannot be copied' "$dir/err" || fail "it is not said that a copy was refused"

usage 2 "--rounds 2: not a number from 3" "$micro" --rounds 2
usage 2 "--ms x: not a number from 1" "$micro" --ms x
usage 2 "--guest 99999: not a domain's id" "$micro" --guest 99999 "$dir/x"
usage 2 "name also the file" "$micro" --guest 1
usage 2 "'nonsense' is not an option" "$micro" nonsense
usage 2 "the end that serves measures nothing" "$micro" --serve 1 --json "$dir/j"
usage 1 "cannot read" "$micro" --guest 1 "$dir/none"
echo "port 5 refs 1 2 3" >"$dir/few"
usage 1 "is not what 'vgrant-micro --serve' prints" "$micro" --guest 1 "$dir/few"
usage 1 "cannot write" "$micro" --json "$dir/none/json"
