#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd, or its worker alone, is killed between making the guest's IOREQ server and telling anybody of it: the next one
# takes that server over, and there is never a second.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' worker=''

has_server() { [ "$(field "$g" servers)" = 1 ]; }

e2e_begin "$@"
random_image "$E2E_DIR/disk" 4
new_guest g 64 vcpus=2
# The server is made, and not enabled; enabled, without a range; with its range, and without its channels.
for fault in ioreq:after=1 ioreq:after=3 bind; do
	for victim in all worker; do
		sim fault 1 "$fault:late=60000" || fail "no fault"
		mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi
		until_true "$LIMIT" has_server || fail "$fault: no server"
		until_true "$LIMIT" silent || fail "$fault: the worker does not hang"
		sim fault 1 clear || fail "no end of the fault" # of the next calls
		worker=$(workers | tr -d ' ')
		[ $victim = worker ] || kill -STOP "$VGRANTD" # or it would start another worker
		kill -KILL "$worker"
		[ $victim = worker ] || { kill -KILL "$VGRANTD" && reap "$VGRANTD"; }
		until_true "$LIMIT" gone "$worker" || fail "worker $worker does not die"
		[ $victim = worker ] || start_vgrantd
		mmio_ready "$g" 51712
		[ "$(field "$g" servers)" = 1 ] || fail "$fault, $victim killed: $(field "$g" servers) IOREQ servers"
		guest "$g" read-all --mmio --mode fresh --out "$E2E_DIR/copy" || fail "$fault, $victim killed: the guest cannot read"
		same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
		mmio_unplug "$g" 51712
		[ "$(field "$g" servers)" = 0 ] || fail "$fault, $victim killed: a server is left"
	done
done

# Nor does a worker leave one that is killed while it lets go of the device for good.
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_ready "$g" 51712
worker=$(workers | tr -d ' ')
sim fault 1 ioreq:late=60000 || fail "no fault"
xs write "/local/domain/1/backend/virtio_disk/$g/51712/online" 0
xs wait "/local/domain/1/backend/virtio_disk/$g/51712/state" 5 "$LIMIT" >/dev/null || fail "it is not detached"
kill -STOP "$VGRANTD" # or another worker might begin before the fault has ended
kill -KILL "$worker"
sim fault 1 clear || fail "no end of the fault"
kill -CONT "$VGRANTD"
xs wait "/local/domain/1/backend/virtio_disk/$g/51712" - "$LIMIT" >/dev/null || fail "it is not let go of"
xs rm "/local/domain/$g/device/virtio_disk/51712"
[ "$(field "$g" servers)" = 0 ] || fail "a server is left by a worker that was killed as it let go"

# A device that is unplugged while nobody has it takes its server along.
mmio_attach "$g" "$E2E_DIR/disk" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_ready "$g" 51712
worker=$(workers | tr -d ' ')
kill -STOP "$VGRANTD"
kill -KILL "$worker" "$VGRANTD"
reap "$VGRANTD"
until_true "$LIMIT" gone "$worker" || fail "worker $worker does not die"
xs write "/local/domain/1/backend/virtio_disk/$g/51712/online" 0 "/local/domain/1/backend/virtio_disk/$g/51712/state" 5
start_vgrantd
xs wait "/local/domain/1/backend/virtio_disk/$g/51712" - "$LIMIT" >/dev/null || fail "it is not let go of"
xs rm "/local/domain/$g/device/virtio_disk/51712"
[ "$(field "$g" servers)" = 0 ] || fail "a server is left of a device that was unplugged while nobody had it"
[ -z "$(ls "$E2E_DIR/state")" ] || fail "left in the state directory: $(ls "$E2E_DIR/state")"
e2e_end
