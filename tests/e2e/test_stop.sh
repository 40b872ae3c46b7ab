#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd is told to stop in the middle of I/O: it lets go of everything, ends with status 0, and the
# guest is told. Another vgrantd then serves the same guest.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 16
new_guest g
attach "$g" "$E2E_DIR/disk"
for mode in region grant; do
	guest_bg user "$g" bench --seconds 3600 --depth 32 --size 16384 --mode $mode
	await_busy "$g"
	stop_vgrantd
	reap "$user"
	status=$?
	[ $status -eq 3 ] || fail "mode $mode: the guest ended with status $status, not 3 (closed)"
	[ "$(field "$g" in_use)" = 0 ] || fail "mode $mode: pages of the guest are still mapped"
	start_vgrantd
	guest "$g" read-all --out "$E2E_DIR/copy" ||
		fail "mode $mode: the next vgrantd does not serve the guest"
	same "$E2E_DIR/disk" "$E2E_DIR/copy" "mode $mode: it reads something else"
done
detach "$g" xvda

e2e_end
