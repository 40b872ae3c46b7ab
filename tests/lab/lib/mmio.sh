# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What scenarios on virtio-mmio share: which addresses a guest gives away, what vgrantd does to reach them, data under load.

# What the guest's kernel knows: nothing of the series.
unpatched() { # NAME
	on "$1" "! grep -qE ' (xvm_init|virtio_msg_register|xgp_)' /proc/kallsyms; [ ! -e /sys/class/virtio-msg ]
		grep -q ' xen_grant_dma_map_page\$' /proc/kallsyms; echo processors: \$(grep -c ^processor /proc/cpuinfo), \$(uname -r)"
}

# ---- addresses ----

# Every address of a ring, and of a buffer, that the guest's kernel gives to its virtio driver, told by probes in
# that kernel while the driver takes the disk and reads from it. Bit 63 says that it is a grant's.
addresses_granted() { # NAME VDX
	local got
	got=$(on "$1" -t 120 "set -e; cd /sys/kernel/tracing; [ -e kprobe_events ] || mount -t tracefs trace .
		cd /sys/kernel/tracing
		for f in desc avail used; do echo \"r:lab/ring_\$f virtqueue_get_\${f}_addr a=\\\$retval:x64\" >>kprobe_events; done
		echo 'r:lab/buffer xen_grant_dma_map_page a=\$retval:x64' >>kprobe_events
		: >trace; echo 1 >events/lab/enable
		v=\$(basename \$(readlink -f /sys/block/$2/device))
		echo \$v >/sys/bus/virtio/drivers/virtio_blk/unbind; echo \$v >/sys/bus/virtio/drivers/virtio_blk/bind
		dd if=/dev/$2 of=/dev/null bs=4k count=64 iflag=direct 2>/dev/null
		echo 0 >events/lab/enable; sed -n 's/.*: \\([a-z_]*\\): .* a=0x\\([0-9a-f]*\\)\$/\\1 \\2/p' trace
		echo >kprobe_events")
	awk '{ name = $1; sub(/_.*/, "", name); n[name]++; if (length($2) == 16 && $2 ~ /^[89a-f]/) granted[name]++ }
		END { for (name in n) print "addresses of a " name ": " n[name] ", with bit 63: " granted[name] + 0
			exit !(n["ring"] >= 3 && n["buffer"] >= 64 && n["ring"] == granted["ring"] && n["buffer"] == granted["buffer"]) }' <<<"$got" ||
		fail "not every address of $1's $2 is a grant's: $got"
}

# Counts the ioctls of vgrantd's processes from here on, by number.
ioctls_arm() {
	on driver "set -e; [ -e /sys/kernel/tracing/events ] || mount -t tracefs trace /sys/kernel/tracing
		echo 'hist:keys=cmd.hex if comm ~ \"vgrantd*\"' >/sys/kernel/tracing/events/syscalls/sys_enter_ioctl/trigger"
}

# None of them maps memory that was not granted (privcmd's numbers 2, 3 and 4: "P" is 0x50), and those that
# map or copy what was granted ("G" is 0x47) are there.
ioctls_granted() {
	local got
	got=$(on driver "sed -n 's/^{ cmd: *\\([0-9a-f]*\\) } hitcount: *\\([0-9]*\\).*/\\1 \\2/p' /sys/kernel/tracing/events/syscalls/sys_enter_ioctl/hist")
	echo "vgrantd's ioctls, and how often:"
	echo "$got"
	awk '$1 ~ /50(02|03|04)$/ { foreign += $2 } $1 ~ /47..$/ { grants += $2 } END { exit !(grants > 0 && foreign + 0 == 0) }' <<<"$got" ||
		fail "vgrantd maps what is not granted, or was not counted: ${got//$'\n'/; }"
}

# A figure of vgrantd's, of one disk.
figure() { # NAME VDEV FIGURE
	on dom0 "vgrantctl stats $1 $2" | awk -v name="$3" '$1 == name { print $2; n++ } END { exit !n }' || fail "vgrantctl stats tells no $3 of $1 $2"
}

figures_granted() { # NAME VDEV
	local name
	for name in worker-foreign-pages faults; do
		equal "$1 $2: $name" "$(figure "$1" "$2" $name)" 0
	done
	# Xen asks each processor's server once to forget what it has mapped, which is no access to a register.
	(($(figure "$1" "$2" worker-ioreqs-refused) <= 2)) || fail "$1 $2: vgrantd refused accesses of the guest"
	for name in mmio-kicks mmio-interrupts worker-ioreqs; do
		(($(figure "$1" "$2" $name) > 0)) || fail "$1 $2: $name is 0"
	done
}

# ---- data ----

verify() { # NAME VDX...: in the background
	begin "$1" "cd /tmp; pids=; seed=${1#g}; for d in ${*:2}; do
		fio --name=\$d --filename=/dev/\$d --direct=1 --ioengine=io_uring --iodepth=16 --rw=randrw --bssplit=512/20:4k/40:12k/20:64k/20 \
			--blockalign=512 --offset=20m --size=3m --verify=crc32c --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --randseed=\$seed >\$d.out 2>&1 &
		pids=\"\$pids \$!\"; seed=\$((seed + 2)); done
		failed=; for p in \$pids; do wait \$p || failed=yes; done; [ -z \"\$failed\" ] || { for d in ${*:2}; do cat \$d.out; done; exit 1; }"
}

# Another vgrantd, under load. The guest waits in the kernel, and sees nothing of it.
killed_under_load() { # NAME VDX VDX
	local round
	records_start "$1" "$3" 5
	guest_busy "$1" "$2"
	for round in 1 2; do
		echo "--- vgrantd is killed, round $round"
		daemon_kill
		daemon_start
		guest_moves "$1" "$2" "$3"
	done
	busy_stop "$1" "$2"
	busy_stop "$1" "$3"
	records_check "$1" "$3" 5
}
