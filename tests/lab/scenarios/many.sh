# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: two guests with two disks each, all four busy at once
# boots: pv
# full: yes
# needs: vgrantd vgrantctl

# Each disk gets contents of its own: with one seed all four would be alike, and to take one for
# another no fault.
verify_both() { # NAME SEED
	begin "$1" "cd /tmp; seed=$2; pids=; for d in vda vdb; do
		fio --name=\$d --filename=/dev/\$d --direct=1 --ioengine=io_uring --iodepth=16 --rw=randrw --bssplit=512/30:4k/40:64k/30 \
			--blockalign=512 --verify=crc32c --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --size=8m --randseed=\$seed >\$d.out 2>&1 &
		pids=\"\$pids \$!\"; seed=\$((seed + 1)); done
		failed=; for p in \$pids; do wait \$p || failed=yes; done; [ -z \"\$failed\" ] || { cat vda.out vdb.out; exit 1; }"
}

scenario() {
	local guest first second sums
	daemon_start
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)" "$(disk xvdb /dev/ram1)")"
	domain_create g2 "$(disks "$(disk xvda /dev/ram2)" "$(disk xvdb /dev/ram3)")"
	guest_busy g1 vda vdb
	guest_busy g2 vda vdb
	# All four are busy: each moves while the others do, and a worker serves each guest.
	guest_moves g1 vda vdb
	guest_moves g2 vda vdb
	equal "devices that are connected" "$(on dom0 'vgrantctl list | grep -c " connected "')" 4
	equal "workers" "$(daemon_workers | wc -w)" 2
	busy_stop g1 vda vdb
	busy_stop g2 vda vdb
	first=$(verify_both g1 11)
	second=$(verify_both g2 21)
	finish "$first" 300
	finish "$second" 300
	on dom0 'vgrantctl stats'
	# Each disk has what its own guest wrote, and each device gets to the right file. (Which of its two
	# a guest calls vda is chance.)
	sums=$(for guest in g1 g2; do
		on $guest -t 120 "for d in $(guest_disk $guest 51712) $(guest_disk $guest 51728); do
			dd if=/dev/\$d bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1; done"
	done)
	equal "checksums in the driver domain of what the guests have" "$(on driver -t 120 'for n in 0 1 2 3; do sha256sum </dev/ram$n | cut -d" " -f1; done')" "$sums"
	equal "disks with contents of their own" "$(sort -u <<<"$sums" | wc -l)" 4
}
