#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest whose driver is killed in the middle of I/O, then its domain: nothing is left. A driver that
# comes after a killed one is served.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' victim=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 16
for mode in region grant; do
	new_guest g
	attach "$g" "$E2E_DIR/disk"
	guest_bg victim "$g" bench --seconds 300 --op mixed --depth 32 --size 16384 --mode $mode
	await_busy "$g"
	kill -KILL "$victim"
	reap "$victim"
	destroy_guest "$g"
	no_leaks "after a guest in mode $mode was killed"

	new_guest g
	attach "$g" "$E2E_DIR/disk"
	guest_bg victim "$g" bench --seconds 300 --op mixed --depth 32 --size 16384 --mode $mode
	await_busy "$g"
	kill -KILL "$victim"
	reap "$victim"
	guest "$g" read-all --out "$E2E_DIR/copy" ||
		fail "mode $mode: the driver after a killed one is not served"
	same "$E2E_DIR/disk" "$E2E_DIR/copy" "mode $mode: it reads something else"
	detach "$g" xvda
	destroy_guest "$g"
	no_leaks "after a driver in mode $mode was killed"
done
# The domain goes, its driver with it in mid-flight: no chance to kill it first.
new_guest g
attach "$g" "$E2E_DIR/disk"
guest_bg victim "$g" bench --seconds 300 --depth 32
await_busy "$g"
destroy_guest "$g"
no_leaks "after a domain was destroyed in mid-flight"
kill -KILL "$victim" 2>/dev/null
reap "$victim"

e2e_end
