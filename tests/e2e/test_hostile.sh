#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Hostile guests: each malformed ring, message and offer ends in a refusal, a reset or the end of that
# connection. vgrantd lives, and a neighbour with the same vgrantd is served without a fault.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' n=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
truncate -s 8M "$E2E_DIR/other"
new_guest g
new_guest n
attach "$g" "$E2E_DIR/disk"
attach "$n" "$E2E_DIR/other"
cp "$E2E_DIR/disk" "$E2E_DIR/before"
daemon=$VGRANTD
(
	for round in $(seq 1 1000); do
		[ ! -e "$E2E_DIR/enough" ] || exit 0
		guest "$n" verify --seed "$round" --depth 8 >/dev/null || exit 1
	done
) &
neighbour=$!
PIDS+=("$neighbour")
guest "$g" hostile all >"$E2E_DIR/hostile.log" ||
	fail "$(grep -c ^FAIL "$E2E_DIR/hostile.log") cases: $(grep ^FAIL "$E2E_DIR/hostile.log" | head -n 3 | tr '\n' ';')"
cases=$(grep -c ^ok "$E2E_DIR/hostile.log")
[ "$cases" -ge 70 ] || fail "only $cases hostile cases ran"
touch "$E2E_DIR/enough"
reap "$neighbour" || fail "the neighbour's I/O was harmed"
gone "$daemon" && fail "vgrantd has ended"
same "$E2E_DIR/disk" "$E2E_DIR/before" "a hostile guest that only read has changed the image"
detach "$g" xvda
detach "$n" xvda

e2e_end
