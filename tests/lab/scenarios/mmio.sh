# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: guests unpatched (arm64) or with one small patch (x86), disks over virtio-mmio by xl's line: files, fio verify; only what is granted is reached; vgrantd is killed under load
# boots: arm64 pvh-mmio pvh-mmio-xen4.20
# full: pvh-mmio-xen4.20
# needs: vgrantd vgrantctl

# (vgrantd runs in dom0, which "driver" is here.)

# shellcheck source=../lib/mmio.sh
. "$LAB_DIR/lib/mmio.sh"

# The name that the guest's kernel gave to the disk of that number.
mmio_disk() { # NAME DEVID
	local base
	base=$(on dom0 "printf %x \$(xenstore-read /local/domain/0/backend/virtio_disk/$(domid "$1")/$2/base)")
	on "$1" "for b in /sys/block/vd*; do case \$(readlink -f \$b) in */$base.virtio/* | */virtio_disk-$2/*) echo \${b##*/}; exit 0 ;; esac; done
		ls -l /sys/block; dmesg | tail -n 5; exit 1"
}

# The guest is saved in mid-I/O and goes on: once where it was, once from the file. Its driver gives back every
# grant before, and makes new ones after, for the backend of another domain.
saved_under_load() { # NAME VDX
	echo "--- xl save and restore"
	records_start "$1" "$2" 6
	on dom0 -t 120 "xl save -c $1 /tmp/saved >/tmp/save.out 2>&1 || { cat /tmp/save.out; exit 1; }"
	guest_moves "$1" "$2"
	on dom0 -t 120 "xl save $1 /tmp/saved >/tmp/save.out 2>&1 && xl restore /tmp/saved >>/tmp/save.out 2>&1 || { tail -n 5 /tmp/save.out; exit 1; }
		rm /tmp/saved"
	domain_refresh "$1"
	domain_wait "$1"
	guest_moves "$1" "$2"
	busy_stop "$1" "$2"
	records_check "$1" "$2" 6
	addresses_granted "$1" "$2"
}

scenario() {
	local sums first second a b c d
	ioctls_arm
	daemon_same
	daemon_start
	disk_partition /dev/ram0
	sums=$(disk_tree /dev/ram0 outside make '0 1 2 3 4 5')
	domain_create g1 "vcpus=${BOOT_VCPUS:-2}" "$(disks "$(disk xvda /dev/ram0)" "$(disk xvdb /dev/ram1)")"
	domain_create g2 "vcpus=${BOOT_VCPUS:-2}" "$(disks "$(disk xvda /dev/ram2)" "$(disk xvdb /dev/ram3)")"
	unpatched g1
	a=$(mmio_disk g1 51712) b=$(mmio_disk g1 51728) c=$(mmio_disk g2 51712) d=$(mmio_disk g2 51728)

	addresses_granted g1 "$a"
	on g1 "mount -t ext4 /dev/${a}2 /mnt"
	equal "the checksums of what was written outside, read by the guest" "$(guest_tree g1 outside sums)" "$sums"
	sums=$(guest_tree g1 inside make '0 1 2 3 4 5')
	on g1 'umount /mnt; echo 3 >/proc/sys/vm/drop_caches'

	first=$(verify g1 "$b")
	second=$(verify g2 "$c" "$d")
	finish "$first" 300
	finish "$second" 300
	figures_granted g1 xvda
	figures_granted g2 xvdb

	killed_under_load g2 "$c" "$d"
	# (Xen on Arm cannot save a domain.)
	[[ $LAB_ARCH == arm64 ]] || saved_under_load g2 "$d"
	ioctls_granted
	on dom0 'vgrantctl list; vgrantctl stats g2 xvda'

	# Each disk has what its own guest wrote.
	equal "checksums in dom0 of what the guests have" "$(on driver -t 120 'for n in 1 2 3; do sha256sum </dev/ram$n | cut -d" " -f1; done')" \
		"$(for disk in "g1 $b" "g2 $c" "g2 $d"; do on "${disk% *}" -t 120 "dd if=/dev/${disk#* } bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1"; done)"
	domain_destroy g2
	on dom0 'xl shutdown -w g1'
	nothing_left
	disk_check /dev/ram0
	equal "the checksums, in dom0, of what the guest wrote" "$(disk_tree /dev/ram0 inside sums)" "$sums"
}
