# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: vgrantctl attaches and detaches a disk again and again while it and another are busy; wrong requests; what is left
# boots: pv pvh
# full: yes
# needs: vgrantd vgrantctl

# What is to happen (vgrantctl(8), spec section 8): a detach is no request that a busy guest can
# refuse. The guest is told, may flush for five seconds, its requests fail from then on; then vgrantd
# lets go and both directories are removed. What had been completed is on the disk.

attach() { # VDEV IMAGE
	on dom0 -t 90 "vgrantctl attach g1 --backend driver --image $2 --vdev $1 --timeout $(lab_scale 60)"
}

# Also tells how long it took.
detach() { # VDEV
	on dom0 -t 90 "read from x </proc/uptime; vgrantctl detach g1 $1 --timeout $(lab_scale 60) || exit 1; read to x </proc/uptime
		echo \$from \$to | awk '{ print \"that took \" \$2 - \$1 \" s\" }'"
}

# The disk has gone from the guest and from xenstore, and the other goes on.
is_gone() { # VDX DEVID
	on g1 "n=0; while [ -e /sys/block/$1 ]; do n=\$((n + 1)); [ \$n -lt $(($(lab_scale 30) * 10)) ] || { dmesg | tail -n 5; exit 1; }; usleep 100000; done"
	equal "directories of the disk that was detached" "$(device_directories g1 | grep "/$2\$" || true)" ""
	guest_moves g1 vda
}

# Attached while the first disk is busy, and detached while both are. What the guest was told is
# written must be there when it is attached the next time.
both_busy() { # MARK
	local disk
	attach xvdb /dev/ram1
	disk=$(guest_disk g1 51728)
	[[ ! $last ]] || records_check g1 "$disk" "$last"
	records_start g1 "$disk" "$1"
	echo "round $1: the guest has it as $disk; $(detach xvdb)"
	busy_failed g1 "$disk"
	is_gone "$disk" 51728
	last=$1
}

# What a file system has not yet written when its disk is detached, it may write then, for five seconds:
# files of less than 2 MB.
mounted() {
	local disk sums
	attach xvdb /dev/ram2
	disk=$(guest_disk g1 51728)
	on g1 -t 120 "/bin/mke2fs -q -t ext4 /dev/$disk 2>&1 && mount -t ext4 -o commit=300 /dev/$disk /mnt && echo 30000 >/proc/sys/vm/dirty_writeback_centisecs"
	sums=$(guest_tree g1 late make '0 1 2 3 4 5')
	on g1 "awk '/^Dirty:/ { print; exit !(\$2 > 1000) }' /proc/meminfo" # or this would prove nothing
	echo "mounted, with files not written yet; $(detach xvdb)"
	is_gone "$disk" 51728
	on g1 -t 90 'umount /mnt'
	attach xvdb /dev/ram2
	disk=$(guest_disk g1 51728)
	on g1 "mount -t ext4 /dev/$disk /mnt"
	equal "the checksums of files that were not written when the disk was detached" "$(guest_tree g1 late sums)" "$sums"
	on g1 'umount /mnt'
	detach xvdb
	is_gone "$disk" 51728
}

# A guest that does not run cannot say goodbye: vgrantd waits its five seconds, and lets go.
paused() {
	local disk
	attach xvdb /dev/ram1
	disk=$(guest_disk g1 51728)
	records_start g1 "$disk" 77
	on dom0 'xl pause g1'
	echo "from a guest that is paused; $(detach xvdb)"
	equal "directories of the disk that was detached" "$(device_directories g1 | grep "/51728\$" || true)" ""
	on dom0 'xl unpause g1'
	busy_failed g1 "$disk"
	is_gone "$disk" 51728
}

# Detached as soon as it is attached, or a little later (milliseconds): the guest's driver is
# somewhere in its set-up.
in_a_hurry() {
	on dom0 -t 240 "for t in 0 0 10 20 40 80 160 320; do
		vgrantctl attach g1 --backend driver --image /dev/ram1 --vdev xvdb --timeout $(lab_scale 60) || exit 1
		usleep \${t}000; vgrantctl detach g1 xvdb --timeout $(lab_scale 60) || exit 1; done"
	guest_moves g1 vda
}

# vgrantctl must fail with these words, and leave everything as it was.
refused() { # WORDS ARGUMENT...
	local words=$1 out
	shift
	out=$(on dom0 -t 90 "vgrantctl $*; echo status \$?")
	printf '%s: %s\n' "$*" "$out"
	[[ $out == *"$words"*"status 1" ]] || fail "vgrantctl $* must fail with '$words', and said: $out"
	equal "the devices' directories after 'vgrantctl $*'" "$(device_directories g1 g2)" "$directories"
}

wrong_requests() {
	local directories
	domain_create g2
	directories=$(device_directories g1 g2)
	refused "has a device xvda already" attach g1 --backend driver --image /dev/ram1 --vdev xvda
	refused "vgrantd in domain driver refused: image /dev/nosuch: there is no such file" attach g1 --backend driver --image /dev/nosuch --vdev xvdb
	refused "refused: image /dev/ram0 is already served to dom$(domid g1) xvda read-write" attach g2 --backend driver --image /dev/ram0
	refused "refused: image /dev/null is neither a regular file nor a block device" attach g2 --backend driver --image /dev/null
	refused "there is no domain 'nobody'" attach nobody --backend driver --image /dev/ram1
	refused "there is no domain 'nobody'" attach g1 --backend nobody --image /dev/ram1
	refused "no vgrantd answered in domain g2 within 3 s" attach g1 --backend g2 --image /dev/ram1 --timeout 3
	refused "has no device xvdc" detach g1 xvdc
	refused "there is no domain 'nobody'" detach nobody xvda
	domain_destroy g2
	guest_moves g1 vda
}

scenario() {
	local before last='' n
	daemon_start
	domain_create g1 memory=160 "$(disks "$(disk xvda /dev/ram0)")"
	equal "the guest's first disk" "$(guest_disk g1 51712)" vda
	before=$(holdings g1)
	echo "$before"
	guest_busy g1 vda
	for n in 1 2 3; do
		both_busy $n
	done
	mounted
	paused
	in_a_hurry
	wrong_requests
	busy_stop g1 vda
	holdings_are g1 "$before" "after all that"
	# And xl destroy takes along what vgrantctl has attached.
	attach xvdb /dev/ram1
	guest_busy g1 "$(guest_disk g1 51728)"
	equal "what xl destroy complained of" "$(on dom0 'xl destroy g1 2>&1')" ""
	nothing_left
}
