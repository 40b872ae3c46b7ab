#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# With --register-regions: requests use registered memory, regions come and go beside them, and where the
# kernel pins no memory for vgrantd everything works without. Nothing is registered unasked.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$1" --register-regions

random_image "$E2E_DIR/first" 16
random_image "$E2E_DIR/second" 8
new_guest g
attach "$g" "$E2E_DIR/first" --vdev xvda
attach "$g" "$E2E_DIR/second" --vdev xvdb

# load: requests without end on the first device, whose data lies in one region.
load() {
	guest_bg user "$g" bench --seconds 3600 --devid 51712 --mode region --op mixed --depth 8
	await_busy "$g" xvda 1000
}

unload() {
	kill -TERM "${user:?}"
	reap "$user" || fail "the first device's user ended with status $?"
}

nothing_mapped() { [ "$(field 1 maptrack)" = 0 ]; }

load
fixed=$(stat_of "$g" xvda worker-fixed-io)
[ "$fixed" -ge 1000 ] || fail "only $fixed requests were made on registered memory"
regions=$(stat_of "$g" xvda worker-fixed-regions)
[ "$regions" -ge 1 ] || fail "no region is registered"

# Beside that, on the ring of the same worker, regions come and go, and with them the guest's pages: what is
# written late to a page that was given back is seen as wrong data of the next one who has it.
for round in {1..8}; do
	expect 0 guest "$g" verify --devid 51728 --mode region --size $((4096 << (round % 6))) --depth 4 --seed "$round" >/dev/null
done
[ "$(stat_of "$g" xvda worker-fixed-regions)" -eq "$regions" ] || fail "regions stay registered that are gone"
[ "$(stat_of "$g" xvda errors)" = 0 ] || fail "requests failed while regions went"
[ "$(field "$g" deferred)" = 0 ] || fail "pages are in use that the guest has back"

# A disk that is unplugged under load lets go of all of it.
ctl detach "$g" xvda >>"$E2E_DIR/ctl.log" 2>&1 || fail "vgrantctl detach under load failed"
reap "${user:?}"
until_true "$LIMIT" nothing_mapped || fail "$(field 1 maptrack) pages stay mapped after an unplug under load"
attach "$g" "$E2E_DIR/first" --vdev xvda

# ---- a kernel, or a limit, that does not allow it ----

stop_vgrantd
# Little more than the ring itself takes. Root is not limited while it has that capability.
start_limited() {
	local limited=(prlimit --memlock=65536:65536)
	[ "$(id -u)" -ne 0 ] || limited+=(setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock)
	: >"$E2E_DIR/vgrantd.log"
	"${limited[@]}" "$BUILD/sim/bin/xensim-run" "$E2E_DIR/sim" 1 "$BUILD/$VGRANTD_PROGRAM" --verbose --register-regions \
		2>"$E2E_DIR/vgrantd.log" &
	# Not unused: the library's.
	# shellcheck disable=SC2034
	VGRANTD=$!
	until_true "$LIMIT" serving || fail "vgrantd does not start with a limit of locked memory"
}
start_limited
expect 0 guest "$g" verify --devid 51728 --mode region --size 262144 --depth 4 --seed 99 >/dev/null
grep -q 'regions are not registered with io_uring' "$E2E_DIR/vgrantd.log" || fail "vgrantd does not say that regions are not registered"
[ "$(grep -c 'regions are not registered with io_uring' "$E2E_DIR/vgrantd.log")" = 1 ] || fail "it says so more than once"
load
[ "$(stat_of "$g" xvda errors)" = 0 ] || fail "requests failed"
unload

# ---- nobody asked for it ----

stop_vgrantd
start_vgrantd
load
equal_stat() { [ "$(stat_of "$g" xvda "$1")" = "$2" ] || fail "$1 is not $2"; }
equal_stat worker-fixed-regions 0
equal_stat worker-fixed-io 0
unload

detach "$g" xvda
detach "$g" xvdb
e2e_end
