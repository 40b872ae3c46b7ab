# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: vgrantd ends, or is killed, and another comes, under two guests with I/O in flight: what they see, and that nothing is lost
# boots: pv pvh
# full: yes
# needs: vgrantd

# What happens (spec, section 11: a guest that does not notice is specified, not built):
# - SIGTERM: vgrantd completes what is in flight, lets go of everything, leaves its devices in state 6
#   and ends with status 0. The guest's requests from then on fail; its driver takes the disk away,
#   and says by its state 1 that it would have the device again.
# - SIGKILL: the workers end with the supervisor; xenstore still says that they are there. What was in
#   flight fails when the next vgrantd writes state 6, or earlier by the driver's watchdog.
# - The next vgrantd offers the device again, and the guest gets a new disk with the old contents,
#   perhaps under another name: whoever has the old one open or mounted keeps it, dead.
# - A disk on which requests of a killed vgrantd are still under way is offered when they are over.
# - A request that was completed, and a file that was synced, is there afterwards. One that failed may
#   have been carried out.
# - All guests of this vgrantd share its fate, and come back alike.

# Files that are written and synced one by one until that fails, with a list of those that were.
files_start() {
	on g1 '(mkdir /mnt/synced 2>/dev/null; n=$(wc -l </run/synced)
		while dd if=/dev/urandom of=/mnt/synced/$n bs=3000 count=1 conv=fsync 2>/run/files.error && s=$(sha256sum </mnt/synced/$n); do
			echo "$s" | sed "s,-\$,/mnt/synced/$n," >>/run/synced; n=$((n + 1))
		done; echo over >/run/files.over) >/dev/null 2>&1 &'
	on g1 "was=\$(wc -l </run/synced); n=0; until [ \$(wc -l </run/synced) -gt \$((was + 5)) ]; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 40) * 10)) ] || { cat /run/files.error; exit 1; }; usleep 100000; done"
}

# The names of the guests' disks: of those that are newer than newest says.
disks_now() {
	files=$(guest_disk g1 51712 "${newest[g1]}")
	raw=$(guest_disk g1 51728 "${newest[g1]}")
	other=$(guest_disk g2 51712 "${newest[g2]}")
	echo "the disks are $files, $raw and $other"
}

load_start() { # MARK
	newest=([g1]=$(guest_disk_newest g1) [g2]=$(guest_disk_newest g2))
	on g1 "mount -t ext4 /dev/${files}2 /mnt"
	files_start
	records_start g1 "$raw" "$1"
	records_start g2 "$other" "$1"
}

# Every load has met an error, and nobody waits for a disk that is not there.
load_failed() {
	busy_failed g1 "$raw"
	busy_failed g2 "$other"
	on g1 -t 90 "n=0; until [ -e /run/files.over ]; do n=\$((n + 1)); [ \$n -lt $(($(lab_scale 60) * 10)) ] || exit 1; usleep 100000; done
		rm /run/files.over; cat /run/files.error; cd /; umount /mnt"
}

# New disks, with the old contents, that work.
load_returns() { # MARK
	disks_now
	records_check g1 "$raw" "$1"
	records_check g2 "$other" "$1"
	on g1 -t 120 "echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 /dev/${files}2 /mnt; sha256sum -c /run/synced >/run/synced.out 2>&1 || { grep -v OK /run/synced.out; exit 1; }
		wc -l </run/synced | xargs echo files that were synced, all there:"
	equal "the checksums of the tree after round $1" "$(guest_tree g1 tree sums)" "$sums"
	on g1 'umount /mnt'
	for disk in "g1 $raw" "g2 $other"; do
		# shellcheck disable=SC2086
		guest_busy $disk
		# shellcheck disable=SC2086
		busy_stop $disk
	done
}

front_states() {
	on dom0 "xenstore-read /local/domain/$(domid g1)/device/virtio_disk/51712/state /local/domain/$(domid g1)/device/virtio_disk/51728/state \
		/local/domain/$(domid g2)/device/virtio_disk/51712/state | tr '\n' ' '"
}

fronts_invite() { [[ $(front_states) == "1 1 1 " ]]; }

terminated() {
	echo "--- SIGTERM"
	load_start 1
	equal "vgrantd's exit status after SIGTERM" "$(daemon_stop)" 0
	lab_until 20 no_daemon || fail "workers outlive a vgrantd that ended"
	load_failed
	no_grants_held g1
	no_grants_held g2
	lab_until 60 fronts_invite || fail "the guests' drivers do not wait for a vgrantd: their states are $(front_states)"
	equal "disks while no vgrantd runs" "$(on g1 'ls /sys/block | grep ^vd; true')$(on g2 'ls /sys/block | grep ^vd; true')" ""
	daemon_start
	load_returns 1
}

killed() {
	echo "--- SIGKILL, and the next one at once"
	load_start 2
	daemon_signal KILL
	daemon_start
	load_failed
	load_returns 2
}

killed_for_long() {
	echo "--- SIGKILL, and the next one after the guests have given up"
	load_start 3
	daemon_signal KILL
	lab_until 20 no_daemon || fail "workers outlive a vgrantd that was killed: $(daemon_processes)"
	no_grants_held g1
	no_grants_held g2
	load_failed
	check "the guest's log tells that the device was given up" log_has g1 'device given up'
	daemon_start
	load_returns 3
}

# The disk of g2 hangs when vgrantd is killed: what was under way may still land there. The next one
# must not serve it before that is over (VX-REC-5), nor give up; the other disks are back meanwhile.
killed_with_a_slow_disk() {
	local states
	echo "--- SIGKILL while a disk hangs"
	load_start 4
	on driver 'fsfreeze --freeze /slow; usleep 500000'
	daemon_signal KILL
	daemon_start
	guest_disk g1 51712 "${newest[g1]}"
	guest_disk g1 51728 "${newest[g1]}"
	states=$(on dom0 "xenstore-read /local/domain/$(domid driver)/backend/virtio_disk/$(domid g2)/51712/state /local/domain/$(domid g2)/device/virtio_disk/51712/state | xargs")
	equal "states of both ends of the disk that hangs" "$states" "6 1"
	on driver 'fsfreeze --unfreeze /slow'
	load_failed
	load_returns 4
}

scenario() {
	local files raw other sums disk
	local -A newest=([g1]=0 [g2]=0)
	daemon_start
	disk_partition /dev/ram0
	# A disk that can be made to hang: a file in a file system that can be frozen.
	on driver -t 90 '/bin/mke2fs -q -t ext4 -F /dev/ram3 2>&1 && mkdir -p /slow && mount -t ext4 /dev/ram3 /slow &&
		dd if=/dev/zero of=/slow/disk bs=1M count=36 2>&1 && sync && losetup /dev/loop1 /slow/disk'
	domain_create g1 cmdline=virtio_msg.timeout=10 memory=160 "$(disks "$(disk xvda /dev/ram0)" "$(disk xvdb /dev/ram1)")"
	domain_create g2 cmdline=virtio_msg.timeout=10 "$(disks "$(disk xvda /dev/loop1)")"
	disks_now
	on g1 ": >/run/synced; mount -t ext4 /dev/${files}2 /mnt"
	sums=$(guest_tree g1 tree make)
	on g1 'sync; umount /mnt'
	terminated
	killed
	killed_for_long
	killed_with_a_slow_disk
	domain_destroy g1
	domain_destroy g2
	nothing_left
	on driver 'losetup -d /dev/loop1; umount /slow'
	disk_check /dev/ram0
	equal "the checksums of the tree in the driver domain" "$(disk_tree /dev/ram0 tree sums)" "$sums"
}
