#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Eight guests at once, each with a disk of its own, write and check all of it.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' run=''
e2e_begin "$@"

guests=() pids=()
for i in 1 2 3 4 5 6 7 8; do
	truncate -s 8M "$E2E_DIR/disk$i"
	new_guest g
	guests+=("$g")
	attach "$g" "$E2E_DIR/disk$i" --queues 2
done
modes=(region grant hybrid fresh)
for i in 1 2 3 4 5 6 7 8; do
	guest_bg run "${guests[i - 1]}" verify --seed "$i" --mode "${modes[i % 4]}" --depth 8 \
		--queues 2 --own-ports --timeout $((LIMIT * 1000))
	pids+=("$run")
done
for i in 1 2 3 4 5 6 7 8; do
	reap "${pids[i - 1]}" || fail "guest $i ended with status $?"
done
for i in 1 2 3 4 5 6 7 8; do
	guest "${guests[i - 1]}" read-all --out "$E2E_DIR/copy" || fail "guest $i cannot read"
	same "$E2E_DIR/disk$i" "$E2E_DIR/copy" "guest $i reads something else than its image"
	for j in 1 2 3 4 5 6 7 8; do
		[ "$i" = "$j" ] || ! cmp -s "$E2E_DIR/disk$i" "$E2E_DIR/disk$j" ||
			fail "guests $i and $j have the same image"
	done
	detach "${guests[i - 1]}" xvda
done

e2e_end
