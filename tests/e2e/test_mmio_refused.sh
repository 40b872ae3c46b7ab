#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What vgrantd does not serve on virtio-mmio, and says so: a device without grants, an ISA interrupt for a guest that is
# not HVM (Xen would panic), addresses and interrupts that are none. And a guest whose device's state was lost.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' user=''
BACK=/local/domain/1/backend/virtio_disk
ID=51712

# refused WORDS KEY VALUE…: a node with these keys is refused, for that reason.
refused() {
	local words=$1 error
	shift
	ID=$((ID + 16))
	mmio_attach "$g" "$E2E_DIR/disk" $ID "xvd$ID" 33554432 33 vgrant-interrupt spi "$@"
	xs wait "$BACK/$g/$ID/state" 6 "$LIMIT" >/dev/null || fail "not refused: $*"
	error=$(xs read "$BACK/$g/$ID/vgrant-error")
	[[ $error == *"$words"* ]] || fail "refused for another reason than '$words': $error"
	xs rm "$BACK/$g/$ID"
	xs rm "/local/domain/$g/device/virtio_disk/$ID"
}

e2e_begin "$@"
random_image "$E2E_DIR/disk" 4
new_guest g
refused 'write grant_usage=1' grant_usage 0
refused "grant_usage is 'yes'" grant_usage yes
refused 'transport is' transport pci
refused 'vgrant-bus is' vgrant-bus pci
refused 'base is not an address' base 0xfoo
refused 'base is not an address' base -1
refused 'base is not an address' base 0x1ffffffffffffffff
refused 'multiple of 0x200' base 0x2000100
refused 'irq is not the number' irq many
refused 'do not fit' irq 5
refused 'do not fit' irq 1020 vgrant-interrupt isa
refused 'do not fit' vgrant-interrupt msi
refused 'which dom' irq 5 vgrant-interrupt isa
xs write "/libxl/$g/type" pvh
xs own "/libxl/$g/type" 0 1
refused 'for an HVM guest, which dom' irq 5 vgrant-interrupt isa
[ -z "$(workers)" ] || fail "a worker was started for a node that is refused"

# An HVM guest may have it.
xs write "/libxl/$g/type" hvm
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 5 vgrant-interrupt isa
mmio_ready "$g" 51712
guest "$g" read-all --mmio --mode grant --out "$E2E_DIR/copy" || fail "an HVM guest cannot read"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
mmio_unplug "$g" 51712

# Two devices at one address: the second is refused, the first goes on.
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_ready "$g" 51712
random_image "$E2E_DIR/other" 4
mmio_attach "$g" "$E2E_DIR/other" 51728 xvdb 33554432 34 vgrant-interrupt spi
xs wait "$BACK/$g/51728/state" 6 "$LIMIT" >/dev/null || fail "two devices are served at one address"
guest "$g" read-all --mmio --devid 51712 --mode grant --out "$E2E_DIR/copy" || fail "the first device suffers"
xs rm "$BACK/$g/51728"
xs rm "/local/domain/$g/device/virtio_disk/51728"

# The state is gone: said, and a driver that resets the device has it again.
before=$(stat_of "$g" xvda requests)
guest_bg user "$g" bench --mmio --mode fresh --seconds 3600 --depth 8 --timeout 2000
await_busy "$g" xvda "$before"
victim=$VGRANTD children=$(workers)
kill -KILL "$victim"
reap "$victim"
for pid in $children; do
	until_true "$LIMIT" gone "$pid" || fail "worker $pid outlives vgrantd"
done
rm "$E2E_DIR"/state/*
start_vgrantd
until_true "$LIMIT" grep -q 'is gone: the guest cannot use the device until its driver resets it' "$E2E_DIR/vgrantd.log" ||
	fail "nothing is said of a state that is gone"
reap "$user"
status=$?
[ $status -eq 4 ] || fail "the driver ended with status $status, not 4 (no answer)"
guest "$g" read-all --mmio --mode fresh --out "$E2E_DIR/copy" || fail "a driver that begins anew is not served"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
mmio_unplug "$g" 51712

e2e_end
