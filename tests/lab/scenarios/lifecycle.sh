# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: unbind and rebind, xl destroy, a crash, pause, xl save -c, all in mid-I/O; what is left after each
# boots: pv pvh
# needs: vgrantd
# expects: sysrq: Trigger a crash|Kernel panic - not syncing: sysrq triggered crash|Call Trace

guest_new() {
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	equal "the checksum that a new guest reads" "$(guest_sum)" "$sum"
}

# Of the disk's first 16 MiB, which no load writes.
guest_sum() { on g1 -t 120 "dd if=/dev/vda bs=1M count=16 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1"; }

unbind_and_rebind() {
	local d=/sys/bus/xen/devices/virtio_disk-51712 driver n before
	guest_new
	before=$(holdings g1)
	[[ $(grants_held g1) ]] || fail "Xen tells of no grant held while the disk is connected, so the check proves nothing"
	driver=$(on g1 "readlink -f $d/driver")
	for n in 1 2 3; do
		guest_busy g1 vda
		guest_release g1 51712
		no_grants_held g1
		on g1 "echo virtio_disk-51712 >$driver/bind; n=0; until head -c 1 /dev/vda >/dev/null 2>&1; do
			n=\$((n + 1)); [ \$n -lt 600 ] || { dmesg | tail -n 5; exit 1; }; usleep 100000; done"
		equal "the checksum after unbind and bind, $n" "$(guest_sum)" "$sum"
		holdings_are g1 "$before" "after unbind and bind, $n"
	done
}

# Three times the two seconds that it takes at most on an idle machine. After ten in vain libxl says
# that the backend did not answer.
destroy_in_mid_io() {
	local out
	guest_busy g1 vda
	out=$(on dom0 -t 60 'read from x </proc/uptime; xl destroy g1 2>&1; status=$?; read to x </proc/uptime
		echo $from $to | awk "{ print \$2 - \$1 }" >/tmp/took; exit $status')
	equal "what xl destroy complained of" "$out" ""
	out=$(on dom0 'cat /tmp/took')
	echo "xl destroy took $out s"
	awk -v most="$(lab_scale 6)" '{ exit !($1 < most) }' <<<"$out" || fail "xl destroy took $out s"
	nothing_left
	guest_new
}

crash() {
	guest_busy g1 vda
	on g1 '(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &'
	nothing_left
	guest_new
}

pause_and_unpause() {
	local before
	before=$(holdings g1)
	guest_busy g1 vda
	on dom0 'xl pause g1; sleep 3; xl unpause g1'
	guest_moves g1 vda
	busy_stop g1 vda
	equal "the checksum after a pause" "$(guest_sum)" "$sum"
	holdings_are g1 "$before" "after a pause"
}

save_and_go_on() {
	local before
	before=$(holdings g1)
	guest_busy g1 vda
	on dom0 -t 180 'xl save -c g1 /tmp/saved 2>&1; s=$?; rm -f /tmp/saved; exit $s'
	guest_moves g1 vda
	busy_stop g1 vda
	equal "the checksum after xl save -c" "$(guest_sum)" "$sum"
	holdings_are g1 "$before" "after xl save -c"
	domain_destroy g1
	nothing_left
	guest_new
}

scenario() {
	local sum
	daemon_start
	on driver 'dd if=/dev/urandom of=/dev/ram0 bs=1M count=16 2>/dev/null; sync'
	sum=$(on driver "dd if=/dev/ram0 bs=1M count=16 2>/dev/null | sha256sum | cut -d' ' -f1")
	unbind_and_rebind
	destroy_in_mid_io
	crash
	pause_and_unpause
	save_and_go_on
}
