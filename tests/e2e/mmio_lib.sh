# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # lib.sh reads DRIVER_DOMAIN
# virtio-mmio on the simulated hypervisor: the driver domain is one that may be a device model, and
# nodes are what libxl writes. Sourced after lib.sh, before e2e_begin.
DRIVER_DOMAIN=,priv

# mmio_attach DOMID IMAGE DEVID NAME BASE IRQ [KEY VALUE…]: as for a disk= line with specification=virtio.
mmio_attach() {
	local g=$1 image=$2 devid=$3 name=$4 base=$5 irq=$6
	local b=/local/domain/1/backend/virtio_disk/$1/$3 f=/local/domain/$1/device/virtio_disk/$3
	shift 6
	if ! xs write "$b/online" 1 "$f/virtual-device" "$devid" || ! xs own "$b" 1 "$g" ||
		! xs own "$f" "$g" 1 || ! xs write "$f/backend" "$b" "$f/backend-id" 1 "$f/state" 1 \
		"$b/frontend" "$f" "$b/frontend-id" "$g" "$b/params" "$image" "$b/mode" w "$b/dev" "$name" \
		"$b/specification" virtio "$b/transport" mmio "$b/base" "$base" "$b/irq" "$irq"; then
		fail "cannot write the node of $name"
	fi
	while [ $# -gt 0 ]; do
		xs write "$b/$1" "$2" || fail "cannot write $1"
		shift 2
	done
	xs write "$b/state" 1 || fail "cannot write the node's state"
}

# mmio_ready DOMID DEVID: the toolstack would let the guest run now.
mmio_ready() {
	xs wait "/local/domain/1/backend/virtio_disk/$1/$2/state" 2 "$LIMIT" >/dev/null ||
		fail "the backend is not ready: $(xs read "/local/domain/1/backend/virtio_disk/$1/$2/vgrant-error")"
}

# goes_on WHEN VDEV…: the disks of $g move data.
goes_on() {
	local when=$1 dev before
	shift
	for dev; do
		before=$(stat_of "$g" "$dev" requests)
		until_true "$LIMIT" busy "$g" "$dev" "$((${before:-0} + 200))" || fail "$dev stands still $when"
	done
}

# The worker of $g answers nobody.
silent() { ! ctl stats "$g" xvda --timeout 1 >/dev/null 2>&1; }

# mmio_destroy DOMID DEVID…: what libxl does with a guest and its devices.
mmio_unplug() {
	local g=$1 devid
	shift
	for devid; do
		xs write "/local/domain/1/backend/virtio_disk/$g/$devid/online" 0 \
			"/local/domain/1/backend/virtio_disk/$g/$devid/state" 5
	done
	for devid; do
		xs wait "/local/domain/1/backend/virtio_disk/$g/$devid" - "$LIMIT" >/dev/null ||
			fail "device $devid is not let go of"
		xs rm "/local/domain/$g/device/virtio_disk/$devid"
	done
}
