# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: a backend that keeps pages and writes to them, answers falsely or not at all, and lies in the rings: nothing is written to what the guest has back, and one that keeps too much gets nothing more
# boots: pv pvh
# full: pvh
# needs: vgrantd vgrantd-hostile vgrantctl
# expects: I/O error|Buffer I/O error

# Pages that the backend, or this device of it, keeps.
kept() { on g1 "awk '\$1 ~ /quarantined-pages/ && \$2 > n { n = \$2 } END { print n + 0 }' /sys/kernel/debug/virtio-msg-xen/*"; }
backend() { on dom0 "vgrantctl stats g1 xvda | awk '\$1 == \"hostile-$1\" { print \$2 }'"; } # NAME

# The next hostile backend, and the guest's disk on it, with that policy.
serve() { # WORDS POLICY [OPTION-OF-VGRANTD...]
	echo "--- $1"
	# A mark of its own: free pages may hold older ones.
	mark=$((mark + 1))
	hostile_start "$1,every=20,late=200,mark=$mark" "${@:3}"
	on g1 "d=/sys/bus/xen/devices/virtio_disk-51712; [ -e \$d/driver ] || $bind"
	disk=$(guest_disk g1 51712)
	on g1 "cd /sys/class/virtio-msg/virtio-msg-xen.*; echo $2 >policy; echo 4096 >threshold; echo 16 >pool"
	# What the last one kept is back.
	lab_until 30 nothing_kept || fail "pages of a backend that is gone are kept: $(kept)"
	balance=$(memory)
	first=${first:-$balance}
	echo "free or in the pool: $balance KiB, at first: $first"
	((first - balance < 3072)) || fail "not all pages came back from backends that are gone: $balance KiB of $first"
}

is_kept() { (($(kept) >= $1)); } # AT-LEAST
nothing_kept() { [[ $(kept) == 0 ]]; }

# All memory that is free, the pool's, or kept, in KiB, when that no longer changes: processes that
# have ended, and rings of theirs, are cleaned up later.
memory() {
	on g1 "n=0; now=0; last=-1000; echo 3 >/proc/sys/vm/drop_caches
		while [ \$((now - last)) -gt 128 ] || [ \$((last - now)) -gt 128 ]; do
			last=\$now; n=\$((n + 1)); [ \$n -lt 30 ] || exit 1; usleep 200000
			now=\$(awk '\$1 == \"MemFree:\" { n += \$2 } \$1 == \"pool-pages\" { n += 4 * \$2 } \$1 ~ /quarantined-pages/ && \$2 > kept { kept = \$2 }
				END { print n + 4 * kept }' /proc/meminfo /sys/kernel/debug/virtio-msg-xen/*)
		done; echo \$now"
}

# The guest has what it had, free or as it says. Less than two of the pool's chunks is noise: pages
# that processors have at hand are not counted as free.
adds_up() {
	local now=0
	now=$(memory)
	echo "free, in the pool, or kept: $now KiB, before: $balance; kept: $(kept) pages"
	((now - balance < 1536 && balance - now < 1536)) || fail "the guest's memory does not add up: $now KiB of $balance"
}

# A backend that writes all the time to what it keeps writes to nothing that the guest could have for
# something else; with "seen" it is seen that it does write.
untouched() { # [seen]
	local got
	got=$(on g1 -t 120 'labmem watch 1') || fail "a page that the guest has back was written to: $got"
	echo "$got"
	got=$(on g1 -t 120 "labmem marks $mark")
	echo "the mark is in $got"
	equal "free pages with the backend's mark" "$(cut -d' ' -f6 <<<"$got")" 0
	[[ ! ${1:-} ]] || awk '{ exit !($10 + $14 > 0) }' <<<"$got" || fail "the backend has written to nothing that it keeps"
}

# Much at once, so that the pool grows by more than the least that a device may have.
load() {
	on g1 -t 120 "fio --name=load --filename=/dev/$disk --direct=1 --ioengine=io_uring --iodepth=32 --iodepth_batch_submit=32 --iodepth_batch_complete_min=32 \
		--rw=randrw --bs=512k --size=16m --loops=3 >/run/load.out 2>&1 || { cat /run/load.out; exit 1; }"
}

# The least that a device may have, at once.
shrink() {
	balance=$(memory)
	on g1 'cd /sys/class/virtio-msg/virtio-msg-xen.*; cat /sys/kernel/debug/virtio-msg-xen/* | grep ^pool; echo 1 >pool'
}

requests() { on g1 -t 120 "labmem io 1 /dev/$disk 24 $1"; } # HOW-MANY

# The disk fails, by now or soon; the guest does not.
broken() {
	lab_until 60 disk_fails || fail "the device does not break"
	on g1 "dd if=/dev/urandom of=/dev/ram0 bs=64k count=16 2>/dev/null; cat /sys/kernel/debug/virtio-msg-xen/*"
}
disk_fails() { on g1 "! dd if=/dev/$disk of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null"; }

# A backend that keeps more pages than it may: the guest's driver does not connect to it.
refused() { # MAY-KEEP
	local front before was parameter=/sys/module/virtio_msg_xen/parameters/quarantine
	front=/local/domain/$(domid g1)/device/virtio_disk/51712
	before=$(offered)
	was=$(on g1 "cat $parameter; echo $1 >$parameter; $bind")
	lab_until 30 log_has g1 'does not let go of [0-9]* pages: it gets no more' || fail "a backend that keeps pages is not refused"
	is_kept "$1" || fail "it is refused for $(kept) pages, and may keep $1"
	lab_until 10 closed || fail "the guest's driver does not close: $(on dom0 "xenstore-ls $front")"
	equal "page and port that the backend is offered" "$(offered)" "$before"
	equal "the new device's grants, and disks" "$(on g1 "awk '\$1 == \"grants-live\" { print \$2 }' /sys/kernel/debug/virtio-msg-xen/*; ls /sys/block | grep ^vd; true")" 0
	echo "refused, for $(kept) pages"
	guest_release g1 51712
	on g1 "echo $was >$parameter"
}
offered() { on dom0 "xenstore-read $front/control-ref $front/event-channel"; }
closed() { [[ $(on dom0 "xenstore-read $front/state") == 6 ]]; }

# Nobody serves the disk, but its backend's state is that of one that comes and goes, as fast as the
# guest's driver follows, for four seconds: how often that offers a connection.
comes_and_goes() {
	local offers back
	back=/local/domain/$(domid driver)/backend/virtio_disk/$(domid g1)/51712
	on g1 "$bind"
	offers=$(on dom0 "front=\$(xenstore-read $back/frontend); offers=0; now=0; read end x </proc/uptime; end=\$((\${end%.*} + 4))
		state_is() { n=0; until [ \$(xenstore-read \$front/state) = \$1 ]; do n=\$((n + 1)); [ \$n -lt $(($(lab_scale 10) * 50)) ] || exit 1; usleep 20000; done; }
		while [ \${now%.*} -lt \$end ]; do
			xenstore-write $back/state 2; state_is 3; offers=\$((offers + 1)); xenstore-write $back/state 6; state_is 6; read now x </proc/uptime
		done; echo \$offers")
	echo "a backend that comes and goes was offered $offers connections in four seconds"
	((offers > 1 && offers <= 6)) || fail "a backend that comes and goes was offered $offers connections in four seconds"
	guest_release g1 51712
}

# The guest's driver takes the disk away from a backend that need not help, then that one ends.
leave() {
	guest_release g1 51712
	daemon_kill
}

scenario() {
	local disk balance first='' mark=0 bind='echo virtio_disk-51712 >/sys/bus/xen/drivers/virtio-msg-xen/bind'
	daemon_start
	domain_create g1 "cmdline=virtio_msg.timeout=5 brd.rd_nr=1" "$(disks "$(disk xvda /dev/ram0)")"
	guest_disk g1 51712
	# Few pages at hand, and all of the RAM disk there.
	on g1 'echo 100000 >/proc/sys/vm/percpu_pagelist_high_fraction; dd if=/dev/urandom of=/dev/ram0 bs=64k count=16 2>/dev/null'
	leave
	comes_and_goes

	# Served well, with NEXT in every descriptor; then it says that it has let go, and has not.
	serve next,keep-region bounce
	load
	requests 100
	shrink
	lab_until 20 is_kept 512 || fail "nothing is kept of a backend that does not unmap"
	requests 100
	(($(backend next) > 1000)) || fail "NEXT was set only $(backend next) times"
	untouched seen
	adds_up
	leave

	# Never done with letting go.
	serve busy bounce
	load
	shrink
	broken
	lab_until 20 is_kept 512 || fail "nothing is kept of a backend that is always busy: $(kept)"
	adds_up
	leave

	# Silent once the device runs, and keeps all of it. The first message that it does not answer may
	# come while the driver still sets the disk up; then that gives it up before the last request.
	serve mute,linger=600000 bounce
	requests 50 || on g1 "dmesg | tail -n 20 | grep -q 'no answer from the other side'" || fail "requests failed, and not for the silence"
	guest_release g1 51712
	check "the guest says what is kept" log_has g1 'backend does not let go of [0-9]* pages: kept'
	untouched seen
	refused 512
	daemon_kill

	serve wild-used,stale-copy,stale-pool,after=60 hybrid
	! requests 400 || fail "used entries that lie are believed"
	broken
	lab_until 20 log_has driver 'hostile: .* wild=[1-9]' || fail "no used entry was a lie"
	untouched
	adds_up
	leave

	# Pages of buffers themselves: the request in question is never completed, so what follows is last.
	# (In grant it would write to what else is on those pages, such as the kernel's own requests.)
	serve stale,stale-copy,next hybrid --copy-max 0
	on g1 "dd if=/dev/$disk of=/dev/null bs=64k count=16 iflag=direct >/run/lost.out 2>&1 &"
	broken
	is_kept 1 || fail "nothing is kept of a backend that does not unmap buffers"
	untouched seen
	adds_up
	daemon_kill
	# The toolstack waits for whoever serves the disk.
	daemon_start
	domain_destroy g1
}
