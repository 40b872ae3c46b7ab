# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: a backend that looks at every byte within its reach finds the guest's buffers and nothing else; what it finds when whole pages are granted
# boots: pv pvh
# needs: vgrantd vgrantd-hostile vgrantctl

figure() { guest_figure g1 "$1" '*'; } # NAME
# What the backend has seen so far: sightings, looks at all pages, different pages.
backend() {
	on dom0 "vgrantctl stats g1 xvda | awk '{ n[\$1] = \$2 } END { print n[\"hostile-found\"], n[\"hostile-scans\"], n[\"hostile-pages\"] }'"
}

# All memory that is free, or may be, holds the secret: what the driver gets from now on did. A part
# of it stays with a process, and so does a file that fio takes its buffers from.
fill() { on g1 -t 120 "killall labmem 2>/dev/null; rm -f /run/buffers; labmem fill $seed 24 && labmem file $seed /run/buffers 4"; }

filled() {
	local got
	got=$(on g1 -t 120 "labmem pages $seed")
	echo "the secret is in $got"
	awk '{ exit !($6 > 0.8 * $4 && $4 > 4096 && $10 > 6144) }' <<<"$got" || fail "the secret does not fill the guest's memory: $got"
}

# A file system with blocks of 1 KiB, so that blocks share pages, and files in it that are read back;
# beside it fio, whose reads go to 512 bytes into pages of the secret; then requests from and to
# anywhere in such pages.
work() { # SECONDS
	on g1 -t 300 "set -e
		fio --output=/run/fio.out --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=8 --time_based --runtime=$1 --size=12m \
			--bssplit=512/20:4k/30:12k/10:64k/30:256k/10 --blockalign=512 --iomem_align=512 \
			--name=read --rw=randread --offset=18m --mem=mmapshared:/run/buffers \
			--name=mixed --rw=randrw --offset=30m &
		/bin/mke2fs -q -t ext4 -b 1024 -F /dev/vda 16384 2>&1
		mount -t ext4 /dev/vda /mnt; mkdir /mnt/t; cd /mnt/t; $tree_make; $tree_sums >/run/sums; cd /; sync; umount /mnt
		echo 3 >/proc/sys/vm/drop_caches
		mount -t ext4 /dev/vda /mnt; cd /mnt/t; $tree_sums | cmp - /run/sums; cd /; umount /mnt
		labmem io $seed /dev/vda 43 300
		wait \$!; grep 'err=' /run/fio.out; ! grep 'err= *[1-9]' /run/fio.out"
}

# Sets found: how often the secret was seen in what follows.
with_policy() { # POLICY SECONDS
	local before now
	on g1 "cd /sys/class/virtio-msg/virtio-msg-xen.*; echo $1 >policy; echo 4096 >threshold"
	read -ra before < <(backend)
	work "$2"
	read -ra now < <(backend)
	on g1 'cat /sys/kernel/debug/virtio-msg-xen/*'
	found=$((now[0] - before[0]))
	echo "$1: found $found times in $((now[1] - before[1])) looks at all pages; so far in ${now[2]} different pages"
	((now[1] - before[1] >= 5)) || fail "$1: the backend looked only $((now[1] - before[1])) times"
}

nothing_found() { # WHEN
	equal "$1: how often the backend saw the secret" "$found" 0
	! log_has driver 'hostile: found in a page' || fail "$1: the backend saw the secret: $(grep 'hostile: found' "$LAB_RUN/driver.log" | tail -n 1)"
}

scenario() {
	local seed=$((RANDOM * 32768 + RANDOM)) found was
	on driver "labmem pattern $seed >/run/pattern"
	# All references that the guest can have in use here: trying more takes seconds in PVH.
	hostile_start dump=@/run/pattern,sweep=8192
	domain_create g1 memory=160 "$(disks "$(disk xvda /dev/ram0)")"
	# The control page, the rings and the first pages of the pool are new ones, of what was filled.
	fill
	filled
	guest_release g1 51712
	on g1 'echo virtio_disk-51712 >/sys/bus/xen/drivers/virtio-msg-xen/bind'
	guest_disk g1 51712

	with_policy bounce 3
	nothing_found bounce
	equal "bounce: pages of buffers that were granted" "$(figure transient-grants)" 0

	was=$(figure granted-bytes)
	fill
	with_policy hybrid 3
	nothing_found hybrid
	(($(figure granted-bytes) > was)) || fail "hybrid: nothing was granted"

	fill
	with_policy grant 1
	((found > 0)) || fail "the backend does not see the secret where whole pages are granted: it cannot see"
	domain_destroy g1
	# Nobody wrote it to the disk.
	on driver "labmem find $seed </dev/ram0"
}
