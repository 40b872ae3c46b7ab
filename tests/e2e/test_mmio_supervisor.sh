#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd's supervisor is killed, and its worker cannot end for a while. The next vgrantd says what it waits for, gives
# nothing up, and goes on when the worker is gone; the guest notices nothing but a pause.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' one='' two=''
BACK=/local/domain/1/backend/virtio_disk

told() { [ "$(xs read "$BACK/$g/$1/vgrant-error" 2>/dev/null | grep -c 'waiting for its end')" = 1 ]; }

# worker_of DOMID: its process.
worker_of() {
	local pid
	for pid in $(workers); do
		! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--domid $1 " || echo "$pid"
	done
}

# The second one's image is read-only: any number of processes may have its lock.
e2e_begin "$@"
random_image "$E2E_DIR/one" 4
random_image "$E2E_DIR/two" 4
new_guest g 64 vcpus=2
mmio_attach "$g" "$E2E_DIR/one" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_attach "$g" "$E2E_DIR/two" 51728 xvdb 33554944 0 mode r
mmio_ready "$g" 51712
mmio_ready "$g" 51728
guest_bg one "$g" bench --mmio --devid 51712 --mode fresh --op mixed --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
guest_bg two "$g" bench --mmio --devid 51728 --vcpu 1 --mode fresh --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
await_busy "$g" xvda
await_busy "$g" xvdb

# The worker hangs, with requests in flight and the image's lock, for longer than anything is waited for otherwise.
worker=$(worker_of "$g")
PIDS+=("$worker") # it ends with this case, whatever happens
sim fault 1 grant_copy:late=600000 || fail "no fault"
until_true "$LIMIT" silent || fail "the worker does not hang"
kill -KILL "$VGRANTD"
reap "$VGRANTD"
sim fault 1 clear || fail "no end of the fault"
start_vgrantd
until_true "$LIMIT" told 51712 || fail "nothing is said of xvda, which waits for the image's lock"
until_true "$LIMIT" told 51728 || fail "nothing is said of xvdb, which waits for the IOREQ server"
[ "$(xs read "$BACK/$g/51712/state") $(xs read "$BACK/$g/51728/state")" = '2 4' ] ||
	fail "the devices' states are $(xs read "$BACK/$g/51712/state") and $(xs read "$BACK/$g/51728/state")"
kill -KILL "$worker" # its last request is over
until_true "$LIMIT" gone "$worker" || fail "worker $worker does not die"
goes_on "after a worker that took its time to end" xvda xvdb
for id in 51712 51728; do
	! told $id || fail "$id is still said to wait"
done

kill -TERM "$one" "$two"
reap "$one" || fail "the first driver ended with status $?"
reap "$two" || fail "the second driver ended with status $?"
mmio_unplug "$g" 51712 51728
e2e_end
