# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: the pool of granted pages: its KUnit tests, no grant operation in the steady state, waiting when it is full, each policy and changes of it
# boots: pv pvh
# needs: vgrantd vgrantctl

# A figure of the guest's driver.
figure() { on g1 "awk '\$1 == \"$1\" { print \$2 }' /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.0"; } # NAME
# Figures of the backend's: map-ops, unmap-ops and copy-ops.
backend_ops() { on dom0 "vgrantctl stats g1 xvda | awk '/map-ops|copy-ops/ { print \$2 }' | xargs"; }
figures() { on g1 'cat /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.0'; }

kunit() {
	local log
	domain_create g1 "cmdline=kunit.enable=1"
	log=$(on g1 "dmesg | sed 's/^\[[^]]*\] //' | grep -E '^ *(not ok|ok|# [a-z_]*:)'; true")
	echo "$log" | grep -E 'not ok|xen_grant_pool|virtio_msg_xen'
	echo "$log" | grep -qE '^ok [0-9]+ xen_grant_pool' || fail "the suite xen_grant_pool did not pass: $log"
	! echo "$log" | grep -q 'not ok' || fail "a KUnit test failed: $log"
	domain_destroy g1
}

# Blocks that overlap and are in flight together may be written in any order: those have to wait for each other.
fio_verify() { # ALIGN DEPTH SIZE BSSPLIT
	on g1 -t 300 "fio --name=verify --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=$2 --rw=randwrite \
		--bssplit=$4 --iomem_align=$1 \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --randseed=$1 --size=$3 \
		--minimal --terse-version=3 >/tmp/fio.out 2>/tmp/fio.err || { cat /tmp/fio.err /tmp/fio.out; exit 1; }
		awk -F';' 'END { exit !(\$5 == 0 && \$47 > 0) }' /tmp/fio.out"
}

# Requests are bounced without any grant operation, in the guest or in the backend.
steady() {
	local before after transient
	on g1 "fio --name=warm --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=32 --rw=randrw --bs=4k --size=16m --runtime=3 --time_based >/dev/null"
	before=$(backend_ops)
	transient=$(figure transient-grants)
	on g1 -t 120 "fio --name=steady --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=32 --rw=randrw --bs=4k --size=16m --runtime=5 --time_based --minimal |
		awk -F';' '{ print \"reads\", \$8, \"writes\", \$49 }'"
	after=$(backend_ops)
	equal "the backend's grant operations after 5 s of requests" "$after" "$before"
	equal "the guest's" "$(figure transient-grants)" "$transient"
	equal "the guest's, ever" "$transient" 0
}

# All grants but the pool's have ended.
quiet() {
	local live pages
	live=$(figure grants-live)
	pages=$(figure pool-pages)
	equal "grants that are live when nothing is in flight" "$live" "$pages"
}

policies() {
	local policy
	for policy in grant hybrid bounce; do
		on g1 "echo $policy >/sys/class/virtio-msg/virtio-msg-xen.0/policy; cat /sys/class/virtio-msg/virtio-msg-xen.0/policy"
		fio_verify 512 32 8m "512/20:1536/10:4k/20:12k/10:64k/20:256k/20 --blockalign=512 --serialize_overlap=1"
		fio_verify 4096 32 8m "4k/50:64k/30:256k/20 --serialize_overlap=1"
		echo "after $policy:"
		figures
		quiet
	done
	[[ $(figure transient-grants) -gt 0 ]] || fail "nothing was ever granted"
}

switches() {
	guest_busy g1 vda
	on g1 -t 300 'n=0; d=/sys/class/virtio-msg/virtio-msg-xen.0; while [ $n -lt 60 ]; do
		for p in hybrid grant bounce; do echo $p >$d/policy; echo $((4096 << (n % 4))) >$d/threshold; echo $((4 + n % 13)) >$d/pool; usleep 20000; done
		n=$((n + 1)); done'
	guest_moves g1 vda
	busy_stop g1
	quiet
}

# 64 requests of half a MiB at once through 6 MiB. Then all that is not needed goes, at both ends.
back_pressure() {
	domain_create g1 memory=256 "cmdline=virtio_msg_xen.pool=1" "$(disks "$(disk xvda /dev/ram0)")"
	fio_verify 512 "64 --iodepth_batch_submit=64 --iodepth_batch_complete_min=32" 40m 512k/100
	figures
	[[ $(figure pool-exhausted) -gt 0 ]] || fail "the pool was never exhausted, which proves nothing"
	equal "chunks at most" "$(figure pool-max-chunks)" 6
	equal "chunks when it was exhausted" "$(figure pool-chunks)" 6
	on g1 -t 120 'n=0; until grep -q "^pool-chunks 2$" /sys/kernel/debug/virtio-msg-xen/*; do n=$((n + 1)); [ $n -lt 90 ] || exit 1; sleep 1; done'
	equal "pages that the backend has mapped" "$(on dom0 "vgrantctl stats g1 xvda | awk '/pages-mapped / { print \$2 }'")" 512
	domain_destroy g1
}

# The pool is granted anew to a backend that knows nothing of it.
restore() {
	local sum
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	sum=$(on g1 'dd if=/dev/vda bs=1M count=16 iflag=direct 2>/dev/null | sha256sum')
	guest_busy g1 vda
	on dom0 -t 180 'xl save g1 /tmp/saved && xl restore /tmp/saved; s=$?; rm -f /tmp/saved; exit $s'
	domain_refresh g1
	guest_moves g1 vda
	busy_stop g1
	equal "the checksum after a restore" "$(on g1 'dd if=/dev/vda bs=1M count=16 iflag=direct 2>/dev/null | sha256sum')" "$sum"
	figures
	quiet
	domain_destroy g1
}

# A backend that must see nothing but the buffers.
untrusted() {
	domain_create g1 "cmdline=virtio_msg_xen.policy=grant"
	on dom0 -t 90 "vgrantctl attach g1 --backend driver --image /dev/ram1 --vdev xvdb --untrusted --timeout $(lab_scale 60)"
	on g1 'n=0; until [ -b /dev/vda ]; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; usleep 100000; done; d=/sys/class/virtio-msg/virtio-msg-xen.0
		cat $d/policy; ! echo grant 2>/dev/null >$d/policy; dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null'
	equal "the policy, which the command line says to be grant" "$(figure policy)" bounce
	equal "pages of buffers that were granted" "$(figure transient-grants)" 0
	domain_destroy g1
}

scenario() {
	daemon_start
	kunit
	domain_create g1 memory=192 "$(disks "$(disk xvda /dev/ram0)")"
	steady
	policies
	switches
	domain_destroy g1
	back_pressure
	untrusted
	restore
}
