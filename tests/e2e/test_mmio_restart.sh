#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whoever of vgrantd is killed or ended under load, a guest on virtio-mmio notices nothing but a pause: no request fails,
# none is lost, and what was written is there. Two devices, each touched by a vCPU of its own; one is written and
# read back without end meanwhile.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
# shellcheck source=/dev/null
. "$(dirname "$0")/mmio_lib.sh" || exit 1
g='' one='' two=''

# Writes a pattern over all of the second device, flushes, reads it back; again and again, until there is a file "stop".
verify_on() {
	local seed=0
	while [ ! -e "$E2E_DIR/stop" ]; do
		seed=$((seed + 1))
		guest "$g" verify --mmio --devid 51728 --vcpu 1 --mode fresh --size 4096 --depth 8 --seed $seed \
			--timeout $((LIMIT * 1000)) || return 1
	done
}

kill_all() {
	local pid children
	children=$(workers)
	kill -STOP "$VGRANTD" # or it would start what is killed next
	for pid in $children $VGRANTD; do
		kill -KILL "$pid"
	done
	reap "$VGRANTD"
	for pid in $children; do
		until_true "$LIMIT" gone "$pid" || fail "worker $pid does not die"
	done
}

e2e_begin "$@"
random_image "$E2E_DIR/one" 4
random_image "$E2E_DIR/two" 4
new_guest g 64 vcpus=2
mmio_attach "$g" "$E2E_DIR/one" 51712 xvda 33554432 33 vgrant-interrupt spi
mmio_attach "$g" "$E2E_DIR/two" 51728 xvdb 33554944 34 vgrant-interrupt spi
mmio_ready "$g" 51712
mmio_ready "$g" 51728
[ "$(workers | wc -w)" = 1 ] || fail "there is not one worker: $(workers)"
guest_bg one "$g" bench --mmio --devid 51712 --mode fresh --op mixed --seconds 3600 --depth 32 --timeout $((LIMIT * 1000))
verify_on &
two=$!
PIDS+=("$two")
await_busy "$g" xvda
await_busy "$g" xvdb

for _ in 1 2 3 4 5; do
	victim=$(workers | tr -d ' ')
	kill -KILL "$victim"
	until_true "$LIMIT" gone "$victim" || fail "worker $victim does not die"
	goes_on "after a worker was killed" xvda xvdb
done
for _ in 1 2 3; do
	kill_all
	start_vgrantd
	goes_on "after all of vgrantd was killed" xvda xvdb
done
victim=$VGRANTD
kill -KILL "$victim"
reap "$victim"
start_vgrantd
goes_on "after the supervisor was killed" xvda xvdb
kill -TERM "$VGRANTD"
reap "$VGRANTD" || fail "vgrantd ended with status $?"
start_vgrantd
goes_on "after vgrantd was ended" xvda xvdb

kill -TERM "$one"
: >"$E2E_DIR/stop"
reap "$one" || fail "the first driver ended with status $?"
reap "$two" || fail "what was written to the second device did not come back"
guest "$g" verify --mmio --devid 51712 --mode fresh --depth 16 || fail "it does not keep what is written"
mmio_unplug "$g" 51712 51728
[ -z "$(ls "$E2E_DIR/state")" ] || fail "left in the state directory: $(ls "$E2E_DIR/state")"

e2e_end
