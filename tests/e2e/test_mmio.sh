#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# virtio-mmio over IOREQ, as on Arm: registers at the toolstack's address, an interrupt line, a driver that knows
# nothing of xenbus. Everything the device gets to is a grant, taken back at the end of each request.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' user=''

# says WORDS: of the one device that there is.
says() { ctl list | tail -n 1 | grep -q " $1 "; }

e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
new_guest g 64 vcpus=2
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 grant_usage 1 vgrant-interrupt spi
mmio_ready "$g" 51712
[ "$(grep -c 'worker [0-9]* started' "$E2E_DIR/vgrantd.log")" = 1 ] || fail "it took more than one worker: $(cat "$E2E_DIR/vgrantd.log")"
guest "$g" info --mmio >"$E2E_DIR/info" || fail "the guest finds no disk"
grep -q '"capacity": 8388608' "$E2E_DIR/info" || fail "not the disk: $(cat "$E2E_DIR/info")"
guest "$g" read-all --mmio --mode fresh --out "$E2E_DIR/copy" || fail "the guest cannot read"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
guest "$g" verify --mmio --mode fresh --depth 32 --size 65536 || fail "what it writes does not come back"
guest "$g" verify --mmio --mode fresh --depth 4 --size 1048576 || fail "large requests do not come back"
[ "$(stat_of "$g" xvda worker-foreign-pages)" = 0 ] || fail "pages are mapped that were not granted"
[ "$(stat_of "$g" xvda regions)" = 0 ] || fail "there is a region"
[ "$(stat_of "$g" xvda faults)" = 0 ] || fail "there are faults"
# Notifications are counted by the names of this bus, and there are no others that stay 0.
for name in mmio-kicks mmio-interrupts mmio-writes worker-ioreqs; do
	[ "$(stat_of "$g" xvda $name)" -gt 0 ] || fail "$name is $(stat_of "$g" xvda $name)"
done
ctl stats "$g" xvda >"$E2E_DIR/stats" || fail "no figures"
! grep -E 'events-received|notifications-sent|messages' "$E2E_DIR/stats" || fail "figures of another bus"

# Nothing in xenstore's states tells whether such a driver is there.
until_true "$LIMIT" says 'waits for the guest' || fail "without a driver list says: $(ctl list)"
guest_bg user "$g" bench --mmio --mode fresh --seconds 3600 --depth 4 --timeout $((LIMIT * 1000))
await_busy "$g"
until_true "$LIMIT" says connected || fail "with a driver list says: $(ctl list)"
[ "$(ctl show "$g" xvda --json | grep -c '"connected": true')" = 1 ] || fail "show says: $(ctl show "$g" xvda --json)"
[ "$(xs read "/local/domain/1/backend/virtio_disk/$g/51712/state")" = 2 ] || fail "the state is not 2 any more"
kill -KILL "$(workers | tr -d ' ')"
before=$(stat_of "$g" xvda requests)
until_true "$LIMIT" busy "$g" xvda $((${before:-0} + 200)) || fail "it stands still after its worker was killed"
until_true "$LIMIT" says connected || fail "with a driver and another worker list says: $(ctl list)"
kill -TERM "$user"
reap "$user" || fail "the driver ended with status $?"
until_true "$LIMIT" says 'waits for the guest' || fail "after the driver's end list says: $(ctl list)"
mmio_unplug "$g" 51712

e2e_end
