#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# virtio-mmio with an ISA interrupt, as an HVM guest has it: a line has one level, and its pin takes the rise only. Whoever
# of vgrantd ends under load, no interrupt is lost; a line is one device's; and it is low when the device goes.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' user=''
BACK=/local/domain/1/backend/virtio_disk

line_is_high() { [ "$(field "$g" isa_high)" = 32 ]; }

e2e_begin "$@"
random_image "$E2E_DIR/disk" 4
random_image "$E2E_DIR/other" 4
new_guest g 64 vcpus=2
xs write "/libxl/$g/type" hvm
xs own "/libxl/$g/type" 0 1
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 5
mmio_ready "$g" 51712

mmio_attach "$g" "$E2E_DIR/other" 51728 xvdb 33558528 5
xs wait "$BACK/$g/51728/state" 6 "$LIMIT" >/dev/null || fail "two devices have one line"
[[ $(xs read "$BACK/$g/51728/vgrant-error") == *"irq 5 is another device's"* ]] || fail "refused for another reason"
# A restart takes it from nobody, whichever of the two is looked at first.
kill -TERM "$VGRANTD"
reap "$VGRANTD" || fail "vgrantd ended with status $?"
start_vgrantd
until_true "$LIMIT" grep -q ' xvda: served by virtio-mmio' "$E2E_DIR/vgrantd.log" || fail "a restart gave the line to another device"
xs wait "$BACK/$g/51728/state" 6 "$LIMIT" >/dev/null || fail "two devices have one line after a restart"
[ "$(xs read "$BACK/$g/51712/state")" = 2 ] || fail "a restart took the line from the device that had it"
xs rm "$BACK/$g/51728"
xs rm "/local/domain/$g/device/virtio_disk/51728"

guest_bg user "$g" bench --mmio --mode fresh --seconds 3600 --depth 8 --timeout $((LIMIT * 1000))
for _ in 1 2 3 4 5 6; do
	goes_on "under load" xvda
	victim=$(workers | tr -d ' ')
	kill -KILL "$victim"
	until_true "$LIMIT" gone "$victim" || fail "worker $victim does not die"
done
goes_on "after its worker was killed" xvda

# A guest that does not acknowledge loses its device. (The vCPU of the one that is killed may wait for a register for ever.)
kill -KILL "$user"
reap "$user"
guest_bg user "$g" hang requests --mmio --vcpu 1 --mode fresh --depth 8 --timeout $((LIMIT * 1000))
until_true "$LIMIT" grep -q hanging "$E2E_DIR/user.out" || fail "no driver that does not acknowledge"
until_true "$LIMIT" line_is_high || fail "the line is never high"
mmio_unplug "$g" 51712
[ "$(field "$g" isa_high)" = 0 ] || fail "the device is gone, and its line is high"
kill -KILL "$user"
reap "$user"

e2e_end
