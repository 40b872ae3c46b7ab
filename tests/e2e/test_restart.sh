#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd is killed in the middle of I/O. Its workers end with it and nothing stays mapped. The next
# vgrantd finds the device as it was left and closes it, so the guest is told that its connection is
# over, and served when its driver opens the device again. (Resuming without the guest noticing is
# specified, not built.)
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 16
new_guest g
attach "$g" "$E2E_DIR/disk"
guest_bg user "$g" bench --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
await_busy "$g"
children=$(workers)
[ -n "$children" ] || fail "there is no worker"
kill -KILL "$VGRANTD"
reap "$VGRANTD"
for pid in $children; do
	until_true "$LIMIT" gone "$pid" || fail "worker $pid outlives vgrantd"
done
until_true "$LIMIT" driver_domain_empty || fail "left by a killed vgrantd: $(sim dump | grep '^domain=1 ')"
[ "$(field "$g" in_use)" = 0 ] || fail "pages of the guest are still mapped"

start_vgrantd
reap "$user"
status=$?
[ $status -eq 3 ] || fail "the guest ended with status $status, not 3 (closed)"
guest "$g" read-all --out "$E2E_DIR/copy" || fail "the next vgrantd does not serve the guest"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
detach "$g" xvda

e2e_end
