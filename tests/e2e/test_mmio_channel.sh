#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# virtio-mmio as on x86: vgrantd chooses the registers' addresses, and the interrupt is an event channel that the driver
# offers through xenbus. Two guests, one of them with two devices; a driver that comes and goes; restarts.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' other='' one='' two=''

key() { xs read "/local/domain/1/backend/virtio_disk/$1/$2/$3"; }

e2e_begin "$@" --bus mmio
random_image "$E2E_DIR/one" 4
random_image "$E2E_DIR/two" 4
random_image "$E2E_DIR/three" 4
new_guest g 64 vcpus=2
new_guest other
mmio_attach "$g" "$E2E_DIR/one" 51712 xvda 0 0
mmio_ready "$g" 51712
mmio_attach "$g" "$E2E_DIR/two" 51728 xvdb 0 0
mmio_attach "$other" "$E2E_DIR/three" 51712 xvda 0 0
mmio_ready "$g" 51728
mmio_ready "$other" 51712
[ "$(key "$g" 51712 base) $(key "$g" 51712 size)" = "0xfef20000 0x200" ] || fail "base and size are $(key "$g" 51712 base) $(key "$g" 51712 size)"
[ "$(key "$g" 51728 base)" = 0xfef21000 ] || fail "the second device is at $(key "$g" 51728 base)"
[ "$(key "$other" 51712 base)" = 0xfef20000 ] || fail "the other guest's device is at $(key "$other" 51712 base)"

# A driver comes and goes.
for _ in 1 2 3; do
	guest "$g" read-all --mmio --devid 51712 --mode fresh --out "$E2E_DIR/copy" || fail "the guest cannot read"
	same "$E2E_DIR/one" "$E2E_DIR/copy" "it reads something else"
done
guest_bg one "$g" bench --mmio --devid 51712 --mode fresh --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
guest_bg two "$g" bench --mmio --devid 51728 --vcpu 1 --mode fresh --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
await_busy "$g" xvda
await_busy "$g" xvdb
[ "$(key "$g" 51712 state)" = 4 ] || fail "a connected device is in state $(key "$g" 51712 state)"

victim=''
for pid in $(workers); do
	! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--domid $g " || victim=$pid
done
[ -n "$victim" ] || fail "there is no worker of domain $g"
kill -KILL "$victim"
before=$(stat_of "$g" xvda requests)
until_true "$LIMIT" busy "$g" xvda "$((${before:-0} + 200))" || fail "it stands still after its worker was killed"
kill -KILL "$VGRANTD"
reap "$VGRANTD"
start_vgrantd --bus mmio
await_busy "$g" xvda 200
await_busy "$g" xvdb 200
[ "$(key "$g" 51712 state)" = 4 ] || fail "after a restart the device is in state $(key "$g" 51712 state)"
guest "$other" verify --mmio --mode fresh --depth 16 || fail "the other guest is not served"

kill -TERM "$one" "$two"
reap "$one" || fail "the first driver ended with status $?"
reap "$two" || fail "the second driver ended with status $?"
# Hot unplug, then the guest's end without a word.
mmio_unplug "$g" 51712
e2e_end
