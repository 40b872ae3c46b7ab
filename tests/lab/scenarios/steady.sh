# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: steady: requests that are bounced cost no grant operation, on neither side, by the counters of both
# boots: pv pvh
# needs: vgrantd vgrantctl

# Counted while fio runs: by the driver and by vgrantd of themselves, and by probes in the kernels of both
# domains, through which every operation on grants must go. (What guest_busy has under way fits into the
# pool as it begins.) Then the same with the policy "grant": what
# counts nothing must be able to count.

# shellcheck source=../lib/measure.sh
. "$LAB_DIR/lib/measure.sh"

# counted POLICY: what was counted under two seconds of load, DOMAIN NAME DIFFERENCE, in $counts; the grants of the
# guest that Xen tells of, before and after, in $held.
counted() {
	local before after
	on g1 "echo $1 >/sys/class/virtio-msg/virtio-msg-xen.0/policy"
	guest_busy_evenly g1 vda
	held=$(grants_held g1)
	before=$(measure_read xvda)
	on g1 -t 90 'sleep 2'
	guest_moves g1 vda
	after=$(measure_read xvda)
	held="${held%%:*} $(grants_held g1 | cut -d: -f1)"
	busy_stop g1 vda
	counts=$(awk 'NR == FNR { was[$1, $2] = $3; next } { print $1, $2, $3 - was[$1, $2] }' <(echo "$before") <(echo "$after"))
	echo "--- $1: grants that the driver domain holds, before and after: $held; counted:"
	grep -E ' (vgrantd:(requests|map|unmap|copy|bytes|notif).*|driver:.*|requests:.*|[a-z]+-(calls|ops)|ioctl.*|syscalls.*) ' <<<"$counts"
}

# The sum of what has a name that fits; a name that is nowhere is a failure.
figure() { # DOMAIN PATTERN
	awk -v domain="$1" -v name="^($2)\$" '$1 == domain && $2 ~ name { sum += $3; n++ } END { if (n) print sum + 0 }' <<<"$counts" | grep . ||
		fail "$1 has no counter $2"
}

requests_enough() {
	local requests
	requests=$(figure dom0 vgrantd:requests)
	((requests >= 100)) || fail "$1: only $requests requests in all that time"
	echo "$1: $requests requests"
}

scenario() {
	local counts held name
	daemon_start
	domain_create g1 memory=160 "$(disks "$(disk xvda /dev/ram0)")"
	counters_arm g1 driver
	program_send dom0 counters

	counted bounce
	requests_enough bounce
	equal "grants made by the guest's kernel" "$(figure g1 grant-ops)" 0
	equal "grants ended by the guest's kernel" "$(figure g1 end-ops)" 0
	equal "grants that the driver tells of" "$(figure g1 'driver:transient-grants(-ended)?')" 0
	equal "chunks that were added to the pool" "$(figure g1 chunk-ops)" 0
	for name in map unmap copy; do
		equal "vgrantd's figure $name-ops" "$(figure dom0 vgrantd:$name-ops)" 0
		equal "calls of that kind in the driver domain's kernel" "$(figure driver "k?$name-calls")" 0
	done
	equal "bytes that vgrantd has copied" "$(figure dom0 vgrantd:bytes-copied)" 0
	equal "grants that the driver domain holds, by Xen, before and after" "${held#* }" "${held% *}"

	counted grant
	requests_enough grant
	for name in 'g1 grant-ops' 'g1 end-ops' 'g1 driver:transient-grants' 'dom0 vgrantd:copy-ops' 'driver copy-ops' 'dom0 vgrantd:map-ops' 'driver map-ops'; do
		(($(figure "${name% *}" "${name#* }") > 0)) || fail "the policy grant, and yet the counter ${name#* } of ${name% *} stands still"
	done
	counters_disarm driver
}
