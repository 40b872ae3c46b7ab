# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: compare: three policies of vgrant's frontend, Xen's blkback and QEMU's qdisk side by side, and what a request costs in each
# boots: pv pvh
# full: pvh
# needs: vgrantd vgrantctl
# dom0: qemu

# The gates are counts (lib/figures.awk), never times, which emulation distorts. What fails besides is a
# measurement that is missing and an I/O error. The table is this scenario's output; figures.json and
# figures.txt, all that was measured, lie beside it.

# shellcheck source=../lib/measure.sh
. "$LAB_DIR/lib/measure.sh"

# blkback's grants are persistent: blkfront copies into pages that stay granted, as our pool does.
# blkback-grants: without that, grants for each request.
DISKS=(bounce:vda hybrid:vda grant:vda blkback:xvdb qdisk:xvdc)
JOBS=(randread-4k-32 write-64k-8 read-1m-4)
ROUNDS=1 RUNTIME=400
# With nested paging emulated, a job and its counters take three times as long.
[[ $BOOT_TYPE != pvh ]] || JOBS=(randread-4k-32 read-1m-4)
if [[ $FULL ]]; then
	DISKS+=(blkback-grants:xvdd)
	JOBS=(randread-4k-32 read-64k-8 write-64k-8 read-1m-4 write-1m-4)
	ROUNDS=${VGRANT_COMPARE_ROUNDS:-5} RUNTIME=700
fi

attach_all() {
	local device devices=(ram0 ram1)
	[[ ! $FULL ]] || devices+=(ram2)
	for device in "${devices[@]}"; do
		disk_fill "/dev/$device"
	done
	on dom0 -t 120 'dd if=/dev/urandom of=/dev/ram0 bs=1M 2>/dev/null; sync'
	domain_create g1 memory=256 "$(disks "$(disk xvda /dev/ram0)" "$(disk_phy xvdb /dev/ram1)" "$(disk_qdisk xvdc /dev/ram0)")" ||
		fail "no guest: $(on dom0 'tail -n 5 /var/log/xen/qemu-dm-g1.log')"
	if [[ $FULL ]]; then
		on driver 'echo N >/sys/module/xen_blkback/parameters/feature_persistent'
		on dom0 -t 60 "xl block-attach g1 '$(disk_phy xvdd /dev/ram2)'"
	fi
	for device in $(printf '%s\n' "${DISKS[@]#*:}" | sort -u); do
		on g1 -t 60 "n=0; until head -c 1 /dev/$device >/dev/null 2>&1; do n=\$((n + 1)); [ \$n -lt 300 ] || { dmesg | tail -n 5; exit 1; }; usleep 100000; done"
	done
	[[ ! $FULL ]] || on driver 'echo Y >/sys/module/xen_blkback/parameters/feature_persistent'
}

# The figures of all jobs on all disks, in one pass.
pass() { # NAME RUNTIME LEAD WINDOW
	local job disk
	MEASURE_LAST=
	for job in "${JOBS[@]}"; do
		for disk in "${DISKS[@]}"; do
			measure_pass "$1" "$file" "$2" "$3" "$4" "$job" "$disk"
		done
	done
}

scenario() {
	local file=$LAB_RUN/figures.txt round
	printf 'device %s\n' "${DISKS[@]/:/ }" >"$file"
	daemon_start
	phy_start
	attach_all
	measure_prepare
	echo "threshold $(on g1 'cat /sys/class/virtio-msg/virtio-msg-xen.0/threshold')" >>"$file"
	for ((round = 1; round <= ROUNDS; round++)); do
		timed_round "$file" $round $RUNTIME
	done
	if [[ $FULL ]]; then
		for domain in g1 driver dom0; do
			program_send $domain counters
		done
		pass plain 4000 1500 2000
		measure_costs "$file"
	fi
	counters_arm g1 driver dom0
	if [[ $FULL ]]; then
		pass traced 1500 700 500
	else
		pass traced 1000 400 500
	fi
	counters_disarm driver dom0
	domain_destroy g1
	nothing_left
	phy_stop
	awk -v boot="$BOOT" -v cpus="$BOOT_SMP" -v json="$LAB_RUN/figures.json" -f "$LAB_DIR/lib/figures.awk" "$file" ||
		fail "a figure is missing, or a count is not what the policy promises: see above"
}
