# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: the pool of granted pages: each policy and changes of it, waiting when it is full, shrinking, who may say what, restore, shutdown
# boots: pv pvh
# full: pvh
# needs: vgrantd vgrantctl

# A figure of the driver's in g1, of the device of that number.
figure() { guest_figure g1 "$@"; } # NAME [NUMBER]

# Blocks may overlap, and those that are in flight together may be written in any order, above all
# when the pool is full and some have to come again: fio lets them wait for each other.
fio_verify() { # ALIGN SIZE BSSPLIT OPTION...
	on g1 -t 300 "fio --name=verify --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=32 --rw=randwrite \
		--bssplit=$3 --iomem_align=$1 --serialize_overlap=1 ${*:4} \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --randseed=$1 --size=$2 \
		--minimal --terse-version=3 >/tmp/fio.out 2>/tmp/fio.err || { cat /tmp/fio.err /tmp/fio.out; exit 1; }
		awk -F';' 'END { exit !(\$5 == 0 && \$6 > 0 && \$47 > 0) }' /tmp/fio.out"
}

# All grants but the pool's have ended, and the backend keeps nothing back.
quiet() {
	local live pages
	on g1 'grep -E "^(policy|grants-live|pool-|bounced|granted|transient|.*quarantined)" /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.0 | xargs'
	live=$(figure grants-live)
	pages=$(figure pool-pages)
	equal "grants that are live when nothing is in flight" "$live" "$pages"
	equal "pages that are kept from the guest" "$(figure quarantined-pages)" 0
}

# The bytes that were bounced so far, and those on pages that were granted.
moved() { on g1 "awk '/^bounced-bytes/ { b += \$2 } /^granted-bytes/ { g = \$2 } END { print b, g }' /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.0"; }

policies() {
	local policy before after bounced granted
	for policy in grant hybrid bounce; do
		on g1 "echo $policy >/sys/class/virtio-msg/virtio-msg-xen.0/policy"
		equal "the policy" "$(figure policy)" "$policy"
		before=$(moved)
		fio_verify 512 3m 512/20:1536/10:4k/20:12k/10:64k/20:256k/20 --blockalign=512
		fio_verify 4096 4m 4k/50:64k/30:256k/20
		quiet
		after=$(moved)
		bounced=$((${after% *} - ${before% *}))
		granted=$((${after#* } - ${before#* }))
		echo "$policy: $bounced bytes bounced, $granted on granted pages"
		case $policy in
		bounce) [[ $bounced -gt 0 && $granted == 0 ]] ;;
		hybrid) [[ $bounced -gt 0 && $granted -gt 0 ]] ;;
		grant) [[ $granted -gt $bounced ]] ;;
		esac || fail "that is not what $policy is about"
	done
	on g1 'd=/sys/class/virtio-msg/virtio-msg-xen.0; for a in policy threshold pool; do
		if echo nonsense 2>/dev/null >$d/$a; then echo "$a takes nonsense"; exit 1; fi; done; grep -qx bounce $d/policy'
}

# All at once while requests are in flight, which keep the policy that they began with.
switches() {
	guest_busy g1 vda
	on g1 -t 300 'n=0; d=/sys/class/virtio-msg/virtio-msg-xen.0; while [ $n -lt 10 ]; do
		for p in hybrid grant bounce; do echo $p >$d/policy; echo $((4096 << (n % 4))) >$d/threshold; echo $((4 + n % 13)) >$d/pool; usleep 20000; done
		n=$((n + 1)); done; echo 16384 >$d/threshold; echo 32 >$d/pool'
	guest_moves g1 vda
	busy_stop g1 vda
	quiet
}

# Each mapping that was made is undone.
traced() {
	on g1 -t 60 't=/sys/kernel/debug/tracing; echo 1 >$t/events/xen_grant_pool/enable; : >$t/trace
		dd if=/dev/vda of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null
		echo 0 >$t/events/xen_grant_pool/enable
		awk "/ xen_grant_map: domid=[0-9]+ addr=0x8/ { m++ } / xen_grant_unmap: / { u++ } END { print \"mappings traced:\", m, u; exit !(m >= 8 && m == u) }" $t/trace'
}

# The pool is granted anew to a backend that knows nothing of it.
restore() {
	local sum
	sum=$(on g1 'dd if=/dev/vda bs=1M count=4 iflag=direct 2>/dev/null | sha256sum')
	guest_busy g1 vda
	on dom0 -t 180 'xl save g1 /tmp/saved >/tmp/save.out 2>&1 && xl restore /tmp/saved >>/tmp/save.out 2>&1
		s=$?; rm -f /tmp/saved; [ $s = 0 ] || cat /tmp/save.out; exit $s'
	domain_refresh g1
	guest_moves g1 vda
	busy_stop g1 vda
	equal "the checksum after a restore" "$(on g1 'dd if=/dev/vda bs=1M count=4 iflag=direct 2>/dev/null | sha256sum')" "$sum"
	quiet
}

# 64 requests of half a MiB at once through 6 MiB. Then all that is not needed goes, at both ends.
back_pressure() {
	fio_verify 512 40m 512k/100 --iodepth=64 --iodepth_batch_submit=64 --iodepth_batch_complete_min=32
	quiet
	[[ $(figure pool-exhausted) -gt 0 ]] || fail "the pool was never exhausted, which proves nothing"
	equal "chunks at most" "$(figure pool-max-chunks)" 6
	equal "chunks when it was exhausted" "$(figure pool-chunks)" 6
	on g1 -t 120 'n=0; until grep -q "^pool-chunks 2$" /sys/kernel/debug/virtio-msg-xen/*; do n=$((n + 1)); [ $n -lt 90 ] || exit 1; sleep 1; done'
	equal "pages that the backend has mapped" "$(on dom0 "vgrantctl stats g1 xvda | awk '\$1 == \"pages-mapped\" { print \$2 }'")" 512
}

# A backend that must see nothing but the buffers, whatever the guest's command line says.
untrusted() {
	on dom0 -t 90 "vgrantctl attach g1 --backend driver --image /dev/ram1 --vdev xvdb --untrusted --timeout $(lab_scale 60)"
	on g1 "d=/sys/class/virtio-msg/virtio-msg-xen.1; ! echo grant 2>/dev/null >\$d/policy
		dd if=/dev/$(guest_disk g1 51728) of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null"
	equal "the policy of an untrusted backend's device" "$(figure policy 1)" bounce
	equal "pages of its buffers that were granted" "$(figure transient-grants 1)" 0
}

# How often the guest's kernel has told of that event on its console.
told() { grep -c "$1: domid=" "$LAB_RUN/g1.log" || true; } # EVENT

# A request that is with the backend, its pages granted, when the guest goes down: the backend is
# stopped until the virtio device, the last that came, has been broken.
leave_request() { # NUMBER DISK
	daemon_signal_all STOP
	on g1 "echo grant >/sys/class/virtio-msg/virtio-msg-xen.$1/policy
		cd /sys/kernel/debug/tracing/events
		for e in xen_grant_pool/xen_grant_map xen_grant_pool/xen_grant_unmap syscalls/sys_enter_reboot; do echo 1 >\$e/enable; done
		(dd if=/dev/$2 of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null; echo 'the read ended' >/dev/console) >/dev/null 2>&1 &
		n=0; until awk '{ f[\$1] = \$2 } END { exit !(f[\"transient-grants\"] - f[\"transient-grants-ended\"] >= 16) }' /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.$1; do
			n=\$((n + 1)); [ \$n -lt 100 ] || exit 1; usleep 100000; done"
}

# The guest's kernel ends all grants itself: that they are gone with the domain proves nothing.
shutdown() {
	local id chunks
	on dom0 -t 90 "vgrantctl attach g1 --backend driver --image /dev/ram2 --vdev xvdc --timeout $(lab_scale 60)"
	leave_request 2 "$(guest_disk g1 51744)"
	id=$(domid g1)
	chunks=$(told xen_grant_chunk_remove)
	on g1 '(sleep 1; reboot -f) >/dev/null 2>&1 &'
	lab_until 20 log_has g1 sys_reboot || fail "the guest does not go down"
	lab_nap 1
	daemon_signal_all CONT
	domain_gone "$id"
	equal "chunks of three disks whose grants were ended at shutdown" "$(($(told xen_grant_chunk_remove) - chunks))" 6
	! log_has g1 'the read ended' || fail "the request was over before the guest went down, which proves nothing"
	[[ $(told xen_grant_map) -gt 0 ]] || fail "no grant of a buffer was told of"
	equal "mappings that were undone at shutdown" "$(told xen_grant_unmap)" "$(told xen_grant_map)"
	! log_has g1 'does not let go' || fail "the guest's kernel could not end its grants"
}

scenario() {
	local id
	daemon_start
	domain_create g1 memory=192 "$(disks "$(disk xvda /dev/ram0)")"
	policies
	switches
	traced
	restore
	domain_destroy g1

	# The toolstack's word goes before the guest's.
	domain_create g1 memory=256 paused=1 \
		'cmdline=virtio_msg_xen.policy=grant virtio_msg_xen.pool=64 tp_printk trace_event=xen_grant_pool:xen_grant_chunk_remove' \
		"$(disks "$(disk xvda /dev/ram0)")"
	id=$(domid g1)
	on dom0 "d=/local/domain/$id/device/virtio_disk/51712; xenstore-write \$d/vgrant-policy bounce; xenstore-write \$d/vgrant-pool 1; xl unpause g1"
	domain_wait g1
	equal "the policy that the toolstack chose" "$(figure policy)" bounce
	back_pressure
	untrusted
	shutdown
}
