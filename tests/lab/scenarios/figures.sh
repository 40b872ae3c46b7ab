# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: figures: vgrant, Xen's blkback and QEMU's qdisk side by side, and what a request costs in each
# boots: pv pvh
# full: yes
# needs: vgrantd vgrantctl
# dom0: qemu

# No ratio is required here. What fails is a measurement that is missing and an I/O error. The table
# is this scenario's output; figures.json and figures.txt (all that was measured) lie beside it.

# shellcheck source=../lib/measure.sh
. "$LAB_DIR/lib/measure.sh"

ROUNDS=${VGRANT_FIGURES_ROUNDS:-5}
SECONDS_TIMED=1
SECONDS_PLAIN=6  # with the CPU time
SECONDS_TRACED=2 # which costs time itself
read -ra JOBS <<<"${VGRANT_FIGURES_JOBS:-randread-4k-32 randread-4k-1 read-1m-4 write-1m-4}"
# blkback-grants: without persistent grants, so with grants for each request like vgrant's transient
# path. With them blkfront copies into pages that stay granted, as vgrant's pool will.
DISKS=(vgrant:vda blkback:xvdb blkback-grants:xvdd qdisk:xvdc)

attach_all() {
	local device
	for device in ram0 ram1 ram2; do
		disk_fill /dev/$device
	done
	on dom0 -t 120 'dd if=/dev/urandom of=/dev/ram0 bs=1M 2>/dev/null; sync'
	domain_create g1 memory=256 "$(disks "$(disk xvda /dev/ram0)" "$(disk_phy xvdb /dev/ram1)" "$(disk_qdisk xvdc /dev/ram0)")" ||
		fail "no guest: $(on dom0 'tail -n 5 /var/log/xen/qemu-dm-g1.log')"
	on driver 'echo N >/sys/module/xen_blkback/parameters/feature_persistent'
	on dom0 -t 60 "xl block-attach g1 '$(disk_phy xvdd /dev/ram2)'"
	for device in "${DISKS[@]#*:}"; do
		on g1 "n=0; until head -c 1 /dev/$device >/dev/null 2>&1; do n=\$((n + 1)); [ \$n -lt 300 ] || { dmesg | tail -n 5; exit 1; }; usleep 100000; done"
	done
	on driver 'echo Y >/sys/module/xen_blkback/parameters/feature_persistent'
}

# Every round all jobs on all disks; it is another disk's turn to be first.
timed_round() { # ROUND
	local i job order=() list='' got
	for ((i = 0; i < ${#DISKS[@]}; i++)); do
		order+=("${DISKS[(i + $1) % ${#DISKS[@]}]}")
	done
	for job in "${JOBS[@]}"; do
		list+=$(measure_fio $SECONDS_TIMED 300ms "$job" "${order[@]}")$'\n'
	done
	got=$(on g1 -t $((${#JOBS[@]} * ${#DISKS[@]} * SECONDS_TIMED * 4)) "$(measure_fio_script "$list")")
	equal "timed jobs of round $1" "$(awk '$3 == 0 && $4 > 0 && $5 > 0' <<<"$got" | wc -l)" $((${#JOBS[@]} * ${#DISKS[@]}))
	awk -v round="$1" '{ print "time", round, $2, $1, $4, $5 }' <<<"$got" >>"$file"
}

scenario() {
	local file=$LAB_RUN/figures.txt domain round job disk pass seconds
	printf 'device %s\n' "${DISKS[@]/:/ }" >"$file"
	daemon_start
	phy_start
	attach_all
	for domain in g1 driver dom0; do
		program_send $domain counters
	done
	for ((round = 1; round <= ROUNDS; round++)); do
		timed_round "$round"
	done
	for pass in plain traced; do
		seconds=$SECONDS_PLAIN
		if [[ $pass == traced ]]; then
			seconds=$SECONDS_TRACED MEASURE_LAST=
			for domain in g1 driver dom0; do
				on $domain 'counters arm'
			done
		fi
		for job in "${JOBS[@]}"; do
			for disk in "${DISKS[@]}"; do
				measure_pass $pass "$file" $seconds "$job" "$disk"
			done
		done
	done
	for domain in driver dom0; do
		on $domain 'counters disarm'
	done
	domain_destroy g1
	nothing_left
	phy_stop
	awk -v boot="$BOOT" -v cpus="$BOOT_SMP" -v json="$LAB_RUN/figures.json" -f "$LAB_DIR/lib/figures.awk" "$file" ||
		fail "a figure is missing: see above"
}
