#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A driver domain that may not be a device model, and a node with an address, as libxl writes it on Arm: it is offered by
# virtio-msg, and that is said. Told to use virtio-mmio, vgrantd refuses instead.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
# shellcheck disable=SC2034 # lib.sh reads it
DRIVER_DOMAIN=
g=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 4
new_guest g
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_ready "$g" 51712
grep -q 'offered by virtio-msg, because virtio-mmio needs device-model privilege' "$E2E_DIR/vgrantd.log" || fail "nothing is said of the other bus"
guest "$g" read-all --out "$E2E_DIR/copy" || fail "the guest cannot read by virtio-msg"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
mmio_unplug "$g" 51712

mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi vgrant-bus mmio
xs wait "/local/domain/1/backend/virtio_disk/$g/51712/state" 6 "$LIMIT" >/dev/null || fail "virtio-mmio is offered without privilege"
[[ $(xs read "/local/domain/1/backend/virtio_disk/$g/51712/vgrant-error") == *'device-model privilege'* ]] ||
	fail "refused for another reason: $(xs read "/local/domain/1/backend/virtio_disk/$g/51712/vgrant-error")"
mmio_unplug "$g" 51712

e2e_end
