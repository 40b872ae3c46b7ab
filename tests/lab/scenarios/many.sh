# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: two guests with two disks each, all four busy at once
# boots: pv
# needs: vgrantd vgrantctl

scenario() {
	local guest id got number
	local -A running
	daemon_start
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)" "$(disk xvdb /dev/ram1)")"
	domain_create g2 "$(disks "$(disk xvda /dev/ram2)" "$(disk xvdb /dev/ram3)")"
	for guest in g1 g2; do
		running[$guest]=$(begin $guest 'cd /tmp; for d in vda vdb; do
			fio --name=$d --filename=/dev/$d --direct=1 --ioengine=io_uring --iodepth=16 --rw=randrw --bssplit=512/30:4k/40:64k/30 \
				--blockalign=512 --verify=crc32c --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --size=8m >$d.out 2>&1 &
			eval "$d=$!"
			done; failed=; wait $vda || failed=vda; wait $vdb || failed="$failed vdb"
			[ -z "$failed" ] || { cat vda.out vdb.out; exit 1; }')
	done
	# While they run: all four disks are connected, to two workers.
	got=$(on dom0 'vgrantctl list')
	echo "$got"
	for guest in "${!running[@]}"; do
		id=${running[$guest]}
		finish "$id" 300
	done
	on dom0 'vgrantctl stats'
	# Each disk has what its own guest wrote, and each device gets to the right file.
	number=0
	for guest in g1 g2; do
		for id in vda vdb; do
			got=$(on $guest -t 120 "dd if=/dev/$id bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1")
			equal "checksum of $guest's $id in the driver domain" "$(disk_sum /dev/ram$number)" "$got"
			number=$((number + 1))
		done
	done
}
