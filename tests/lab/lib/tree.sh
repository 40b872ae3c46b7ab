# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks with partitions and ext4, and trees of files with checksums.

# The second partition of disk_partition's disks: where it begins, in bytes.
TREE_OFFSET=16777216

# (busybox prefers its own mke2fs to any in the path.)
# Two partitions: 15 MiB, and the rest of the device from TREE_OFFSET on with ext4 in it. The driver
# domain reaches the latter through a loop device with that offset.
disk_partition() { # DEVICE
	on driver -t 120 "set -e; printf '%s\n' o n p 1 2048 32767 n p 2 32768 '' w | fdisk -u $1 >/tmp/fdisk 2>&1 || { cat /tmp/fdisk; exit 1; }
		/bin/mke2fs -q -t ext4 -F -E offset=$TREE_OFFSET $1 \$((\$(blockdev --getsize64 $1) / 1024 - $TREE_OFFSET / 1024))k 2>&1"
}

# The script that makes a tree in the current directory, and SUMS outside of it: files of no byte up
# to a megabyte, 7 MB in all, in three directories; with numbers='0 1 2 3 4 5' less than 2 MB.
# shellcheck disable=SC2016 # for the shell in the guest
tree_make='for i in ${numbers:-0 1 2 3 4 5 6 7 8 9}; do mkdir -p a/$i b/c/$i
	head -c $((i * i * i * 1000 + i)) /dev/urandom >a/$i/cube
	head -c $((i * 104857)) /dev/urandom >b/c/$i/line
	head -c $((511 + i)) /dev/urandom >b/$i; done
	ln a/3/cube b/link; ln -s ../b/4 a/symbolic'
tree_sums='find . -type f ! -name lost+found | sort | tr "\n" "\0" | xargs -0 sha256sum'

# disk_tree DEVICE DIRECTORY make|sums [NUMBERS]: in the driver domain, with the file system mounted there, and
# unmounted again; prints the checksums.
disk_tree() {
	local make=true
	[[ $3 != make ]] || make="numbers='${4-}'; mkdir $2 && cd $2 && $tree_make && cd .."
	on driver -t 180 "set -e; echo 3 >/proc/sys/vm/drop_caches
		losetup -o $TREE_OFFSET /dev/loop0 $1; mount -t ext4 /dev/loop0 /mnt; cd /mnt
		$make; cd $2; $tree_sums; cd /; sync; umount /mnt; losetup -d /dev/loop0"
}

# The same in a guest, below /mnt on the file system that is mounted there.
guest_tree() { # NAME DIRECTORY make|sums [NUMBERS]
	local make=true
	[[ $3 != make ]] || make="numbers='${4-}'; mkdir $2 && cd $2 && $tree_make && cd .."
	on "$1" -t 180 "set -e; cd /mnt; $make; cd $2; $tree_sums"
}

# What e2fsck says of the file system, outside of any guest: it must be clean, and nothing is mended.
disk_check() { # DEVICE
	on driver -t 120 "echo 3 >/proc/sys/vm/drop_caches; e2fsck -fn '$1?offset=$TREE_OFFSET' 2>&1"
}
