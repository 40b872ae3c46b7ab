# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: an HVM guest with no patch, beside QEMU, its device model: disks that it finds by its command line, an ISA interrupt of a level and one of an edge; files, fio verify; vgrantd is killed under load
# boots: hvm-mmio
# full: yes
# needs: vgrantd vgrantctl

# shellcheck source=../lib/mmio.sh
. "$LAB_DIR/lib/mmio.sh"

# Where vgrantd puts xvda, xvdb and xvdc. Line 5 is for levels in an HVM guest (Xen's tables say so of those that PCI's
# links lead to), lines 3 and 7 are for edges; none is a device's of QEMU's.
HVM_CMDLINE='virtio_mmio.device=0x200@0xfef20000:3 virtio_mmio.device=0x200@0xfef21000:5 virtio_mmio.device=0x200@0xfef22000:7'

# The name that the guest's kernel gave to the disk with that number on its command line, from 0 on.
hvm_disk() { # NAME NUMBER
	on "$1" "for b in /sys/block/vd*; do case \$(readlink -f \$b) in */virtio-mmio-cmdline/virtio-mmio.$2/*) echo \${b##*/}; exit 0 ;; esac; done
		ls -l /sys/block; dmesg | tail -n 5; exit 1"
}

# Interrupts that a processor of the guest has taken on that line.
hvm_taken() { on "$1" "awk '\$1 == \"$2:\" { n = 0; for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i; print n }' /proc/interrupts"; } # NAME IRQ

# Requests one by one: an interrupt for each.
hvm_interrupts() { # NAME VDX IRQ KIND
	local before after line
	line=$(on "$1" "grep -E '^ *$3: ' /proc/interrupts")
	echo "$line"
	[[ $line == *"$3-$4 "*virtio* ]] || fail "line $3 is not virtio's, or not $4: $line"
	before=$(hvm_taken "$1" "$3")
	on "$1" "dd if=/dev/$2 of=/dev/null bs=4k count=64 skip=64 iflag=direct 2>/dev/null"
	after=$(hvm_taken "$1" "$3")
	echo "line $3: $((after - before)) interrupts for 64 requests"
	((after - before >= 64 && after - before < 96)) || fail "$((after - before)) interrupts on line $3 for 64 requests"
}

# QEMU is the guest's device model as before: the same process, which answers, and whose serial port the guest can write to.
hvm_model() { # NAME
	local word=seen-$RANDOM
	on dom0 "grep -l ^xen-qemu /proc/[0-9]*/comm | cut -d/ -f3 | xargs; xl qemu-monitor-command $1 'info status'"
	on "$1" "echo $word >/dev/ttyS0" >&2
	on dom0 "n=0; until grep -q $word /var/log/xen/serial.$1; do n=\$((n + 1)); [ \$n -lt 200 ] || exit 1; usleep 50000; done" >&2
}

scenario() {
	local sums a b c model pid
	ioctls_arm
	daemon_same
	daemon_start
	disk_partition /dev/ram0
	sums=$(disk_tree /dev/ram0 outside make '0 1 2 3 4 5')
	domain_create g1 paused=1 'serial="file:/var/log/xen/serial.g1"' "cmdline=$HVM_CMDLINE"
	on dom0 'vgrantctl attach g1 --image /dev/ram0 --vdev xvda --irq 3 && vgrantctl attach g1 --image /dev/ram1 --vdev xvdb --irq 5 &&
		vgrantctl attach g1 --image /dev/ram2 --vdev xvdc --irq 7 && xl unpause g1'
	domain_wait g1 120
	unpatched g1
	a=$(hvm_disk g1 0) b=$(hvm_disk g1 1) c=$(hvm_disk g1 2)
	model=$(hvm_model g1)
	echo "$model"
	[[ $model == *running* ]] || fail "QEMU does not say that it runs: $model"

	addresses_granted g1 "$a"
	hvm_interrupts g1 "$a" 3 edge
	hvm_interrupts g1 "$b" 5 fasteoi
	hvm_interrupts g1 "$c" 7 edge
	on g1 "mount -t ext4 /dev/${a}2 /mnt"
	equal "the checksums of what was written outside, read by the guest" "$(guest_tree g1 outside sums)" "$sums"
	sums=$(guest_tree g1 inside make '0 1 2 3 4 5')
	on g1 'umount /mnt; echo 3 >/proc/sys/vm/drop_caches'

	pid=$(verify g1 "$b" "$c")
	finish "$pid" 300
	figures_granted g1 xvdb
	figures_granted g1 xvdc

	killed_under_load g1 "$b" "$c"
	killed_under_load g1 "$c" "$b"
	ioctls_granted
	equal "QEMU, at the end" "$(hvm_model g1)" "$model"
	on dom0 'vgrantctl list; vgrantctl stats g1 xvdb'
	on g1 'cat /proc/interrupts'
	equal "checksums in dom0 of what the guest has" "$(on driver -t 120 'for n in 1 2; do sha256sum </dev/ram$n | cut -d" " -f1; done')" \
		"$(on g1 -t 120 "for d in $b $c; do dd if=/dev/\$d bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1; done")"
	on dom0 'xl shutdown -w g1'
	nothing_left
	disk_check /dev/ram0
	equal "the checksums, in dom0, of what the guest wrote" "$(disk_tree /dev/ram0 inside sums)" "$sums"
}
