# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: a guest's kernel mounts ext4 from disks that vgrantd serves, attached by xl and by vgrantctl
# boots: pv pvh arm64-msg
# needs: vgrantd vgrantctl

# The disk that the guest has as VDX: reads the tree that is there, writes another, unmounts, and
# reads that one back from the disk, not from its memory. One script, since each costs a second.
use_disk() { # VDX SUMS
	local got
	got=$(on g1 -t 240 "set -e; n=0; until head -c 1 /dev/${1}2 >/dev/null 2>&1; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 30) * 10)) ] || { dmesg | tail -n 5; ls /sys/block; exit 1; }; usleep 100000; done
		echo driver \$(basename \$(readlink -f /sys/block/$1/device/driver)) size \$(cat /sys/block/$1/size)
		echo partitions \$(cat /sys/block/$1/${1}1/size /sys/block/$1/${1}2/start)
		mount -t ext4 /dev/${1}2 /mnt; cd /mnt/outside; $tree_sums >/tmp/outside.$1
		mkdir /mnt/inside; cd /mnt/inside; $tree_make; $tree_sums >/tmp/inside.$1
		cd /; sync; umount /mnt; echo 3 >/proc/sys/vm/drop_caches
		mount -t ext4 -o ro /dev/${1}2 /mnt; cd /mnt/inside; $tree_sums >/tmp/again.$1; cd /; umount /mnt
		cmp /tmp/inside.$1 /tmp/again.$1; cat /tmp/outside.$1; echo inside; cat /tmp/inside.$1")
	equal "the driver and the size of $1" "$(sed -n 1p <<<"$got")" "driver virtio_blk size 98304"
	equal "the partitions of $1" "$(sed -n 2p <<<"$got")" "partitions 30720 32768"
	equal "the checksums of what was written outside, read by the guest from $1" "$(sed -n '3,/^inside$/{ /^inside$/d; p }' <<<"$got")" "$2"
	inside[$1]=$(sed '1,/^inside$/d' <<<"$got")
	[[ $(wc -l <<<"${inside[$1]}") == 31 ]] || fail "the tree that the guest wrote to $1 has not its 31 files: $got"
}

check_outside() { # DEVICE VDX
	disk_check "$1"
	equal "the checksums, in the driver domain, of what the guest wrote to $2" "$(disk_tree "$1" inside sums)" \
		"${inside[$2]}"
}

scenario() {
	local device
	local -A sums inside
	daemon_same
	daemon_start
	for device in /dev/ram0 /dev/ram1; do
		disk_partition $device
		sums[$device]=$(disk_tree $device outside make)
		[[ $(wc -l <<<"${sums[$device]}") == 31 ]] || fail "the tree outside has not its 31 files: ${sums[$device]}"
	done
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	use_disk vda "${sums[/dev/ram0]}"

	on dom0 -t 90 "vgrantctl attach g1 --backend driver --image /dev/ram1 --vdev xvdb --timeout $(lab_scale 60)"
	use_disk vdb "${sums[/dev/ram1]}"
	on dom0 'vgrantctl list; vgrantctl stats g1 xvda'

	on dom0 -t 90 "vgrantctl detach g1 xvdb --timeout $(lab_scale 60)"
	on g1 'n=0; while [ -e /sys/block/vdb ]; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; usleep 100000; done'
	check_outside /dev/ram1 vdb
	domain_destroy g1
	check_outside /dev/ram0 vda
}
