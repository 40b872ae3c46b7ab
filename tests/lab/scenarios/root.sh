# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: the guest's root is a vgrant disk of an xl configuration; it survives xl reboot
# boots: pv pvh
# needs: vgrantd

# Waits for the next domain of that name, after a reboot.
rebooted() { # NAME OLD-DOMID
	on dom0 -t 60 "n=0; until d=\$(xl domid $1 2>/dev/null) && [ \$d != $2 ]; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 50) * 5)) ] || { xl list; exit 1; }; usleep 200000; done"
	domain_refresh "$1"
	domain_wait "$1"
}

root_is_ours() {
	local number
	number=$(on g1 "awk '\$5 == \"/\" && / - ext4 / { print \$3 }' /proc/self/mountinfo")
	[[ $number ]] || fail "the guest's root is no ext4: $(on g1 'cat /proc/mounts')"
	[[ $(on g1 "readlink -f /sys/dev/block/$number") == */virtio* ]] || fail "the guest's root is no virtio disk"
}

scenario() {
	local sums old
	daemon_start
	disk_partition /dev/ram0
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	on g1 -t 120 'set -e; mount -t ext4 /dev/vda2 /mnt; cd /; cp -a bin sbin lib lib64 usr etc init lab /mnt
		cd /mnt; mkdir dev proc sys tmp run root mnt var; ln -s ../run var/run; cd /; umount /mnt'
	domain_destroy g1

	domain_create g1 ramdisk=none 'cmdline=root=/dev/vda2 rw rootwait init=/init' 'on_reboot="restart"' \
		"$(disks "$(disk xvda /dev/ram0)")"
	root_is_ours
	sums=$(guest_tree g1 inside make)
	old=$(domid g1)
	on dom0 'xl reboot g1'
	rebooted g1 "$old"
	root_is_ours
	equal "the checksums after xl reboot" "$(guest_tree g1 inside sums)" "$sums"
	# And once by itself.
	old=$(domid g1)
	on g1 '(sleep 1; /sbin/reboot) >/dev/null 2>&1 &'
	rebooted g1 "$old"
	equal "the checksums after the guest's own reboot" "$(guest_tree g1 inside sums)" "$sums"
	on dom0 'xl shutdown g1'
	nothing_left
	disk_check /dev/ram0
	equal "the checksums in the driver domain" "$(disk_tree /dev/ram0 mnt/inside sums)" "$sums"
}
