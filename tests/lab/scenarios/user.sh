# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: a driver in the guest's user space reads, writes and flushes a disk that vgrantd serves
# boots: pv pvh
# full: yes
# needs: vgrantd vgguest

scenario() {
	local sum got mode

	daemon_start
	disk_fill /dev/ram0
	sum=$(disk_sum /dev/ram0)
	# Without the kernel's driver: the references of its pool come back in an order in which hardly two
	# follow each other, and what is no run of references is a region for each page.
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")" "cmdline=xen_gntalloc.limit=4096 initcall_blacklist=xvm_init"
	guest_release g1 51712
	got=$(on g1 'vgguest info')
	echo "$got"
	[[ $got == *'"read_only": false'* ]] || fail "the device is not what was attached: $got"

	for mode in region hybrid grant fresh; do
		got=$(on g1 -t 120 "vgguest read-all --mode $mode --out - | sha256sum | cut -d' ' -f1")
		equal "checksum of the whole disk, read in mode $mode" "$got" "$sum"
	done

	on g1 'dd if=/dev/urandom of=/tmp/new bs=64k count=16 2>/dev/null'
	sum=$(on g1 "sha256sum </tmp/new | cut -d' ' -f1")
	on g1 'vgguest write /tmp/new --offset 1048576 --flush'
	got=$(on driver "dd if=/dev/ram0 bs=1M skip=1 count=1 2>/dev/null | sha256sum | cut -d' ' -f1")
	equal "checksum in the driver domain of what the guest wrote" "$got" "$sum"
	on g1 'vgguest flush'

	on g1 -t 180 'vgguest verify --seed 7 --depth 32 --queues 1 --own-ports'
	on g1 -t 60 'vgguest bench --requests 2000 --depth 32'
	# The backend has let go: the guest's driver could take every page back.
	on g1 'vgguest reload --count 3'
	domain_destroy g1
}
