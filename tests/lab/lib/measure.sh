# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Measuring disks of one guest against each other: vgrantd's in each of its frontend's policies, blkback's
# in the same driver domain, qdisk's in dom0. What is measured goes line by line into a file, which
# lib/figures.awk makes a table and JSON of. A DISK is the word for a column of that table:
#   device DISK DEVICE
#   time ROUND DISK JOB KIB MS                      one timed job
#   run PASS DISK JOB KIB MS                        the job during which these were taken:
#   count PASS DISK JOB DOMAIN NAME DIFFERENCE      a counter, of x86/counters or of vgrantctl stats
#   cpu PASS DISK JOB DOMAIN SECONDS WINDOW         CPU time of a domain in a window of that job
#   cost WHERE NAME NS                              what x86/costs.c measured, natively or in the guest

# ---- disks, as xl has them ----

disk_phy() { echo "format=raw,vdev=$1,access=rw,backend=driver,target=$2"; }          # NAME DEVICE-OF-THE-DRIVER-DOMAIN
disk_qdisk() { echo "format=raw,vdev=$1,access=rw,backendtype=qdisk,target=$2"; } # NAME DEVICE-OF-DOM0

# Puts a program of tests/lab/x86 into a running domain's /bin.
program_send() { # DOMAIN NAME
	on "$1" "cat >/bin/$2 <<'LAB_END'
$(<"$LAB_DIR/x86/$2")
LAB_END
chmod 755 /bin/$2"
}

# Lets blkback in the driver domain serve disk_phy's disks.
phy_start() {
	program_send driver phy-backend
	on driver 'rm -f /run/phy.pid; phy-backend >/run/phy.out 2>&1 </dev/null &
		n=0; until [ -s /run/phy.pid ]; do n=$((n + 1)); [ $n -lt 100 ] || exit 1; usleep 50000; done'
}

phy_stop() { on driver 'kill $(cat /run/phy.pid)'; }

# counters_arm DOMAIN...: all of them at once.
counters_arm() {
	local domain id ids=()
	for domain; do
		program_send "$domain" counters
		id=$(begin "$domain" 'counters arm')
		ids+=("$id")
	done
	for id in "${ids[@]}"; do
		finish "$id" 60
	done
}

counters_disarm() { # DOMAIN...
	local domain
	for domain; do
		on "$domain" 'counters disarm'
	done
}

# What single operations cost, on this machine and in the guest.
measure_costs() { # FILE
	cc -std=gnu17 -O2 -Wall -Wextra -Werror -s -o "$LAB_RUN/state/costs" "$LAB_DIR/x86/costs.c"
	"$LAB_RUN/state/costs" | sed 's/^/cost native /' >>"$1"
	on g1 -t 120 "base64 -d >/tmp/costs <<'END'
$(base64 "$LAB_RUN/state/costs")
END
chmod 755 /tmp/costs; /tmp/costs" | sed 's/^/cost guest /' >>"$1"
}

# ---- jobs ----

# fio's words for a job, by its name: KIND-BLOCK-DEPTH.
measure_job() {
	local kind block depth
	IFS=- read -r kind block depth <<<"$1"
	[[ $kind =~ ^(read|write|randread|randwrite)$ && $block =~ ^[0-9]+[km]$ && $depth =~ ^[0-9]+$ ]] || fail "there is no job $1"
	echo "rw=$kind bs=$block iodepth=$depth"
}

# Is the column one of the policies of our frontend?
measure_policy() { [[ $1 == bounce || $1 == hybrid || $1 == grant ]]; }

# The guest's program "policy", which gives vda the policy that fio's job is to have.
measure_prepare() {
	on g1 "cat >/bin/policy <<'END'
#!/bin/sh
echo \$1 >/sys/class/virtio-msg/virtio-msg-xen.0/policy
END
chmod 755 /bin/policy"
}

# measure_fio RUNTIME WARM JOB DISK:DEVICE...: fio's job file, one after the other.
measure_fio() {
	local runtime=$1 warm=$2 job=$3 disk words
	shift 3
	words=$(measure_job "$job") || return 1
	for disk in "$@"; do
		printf '%s\n' "[$job:${disk%:*}]" "filename=/dev/${disk#*:}" stonewall thread direct=1 ioengine=io_uring gtod_reduce=1 norandommap=1 \
			time_based "runtime=$runtime" "ramp_time=$warm" "randseed=$RANDOM" "${words// /$'\n'}"
		! measure_policy "${disk%:*}" || echo "exec_prerun=policy ${disk%:*}"
	done
}

# The script that runs a job file and prints, for each job: JOB DISK ERROR KIB MS.
measure_fio_script() { # FILE-CONTENT
	echo "cd /tmp; cat >/tmp/measure.fio <<'END'
$1
END
fio --minimal --terse-version=3 /tmp/measure.fio >/tmp/fio.out 2>/tmp/fio.err || { cat /tmp/fio.err /tmp/fio.out; exit 1; }
awk -F';' '\$1 == 3 { split(\$3, name, \":\"); print name[1], name[2], \$5, \$6 + \$47, \$9 + \$50 }' /tmp/fio.out"
}

# timed_round FILE ROUND RUNTIME: all JOBS on all DISKS; every round it is another disk's turn to be first.
timed_round() {
	local file=$1 round=$2 runtime=$3 i job order=() list='' got
	for ((i = 0; i < ${#DISKS[@]}; i++)); do
		order+=("${DISKS[(i + round) % ${#DISKS[@]}]}")
	done
	for job in "${JOBS[@]}"; do
		list+=$(measure_fio "${runtime}ms" 300ms "$job" "${order[@]}")$'\n'
	done
	got=$(on g1 -t $((30 + ${#JOBS[@]} * ${#DISKS[@]} * (runtime / 1000 + 3))) "$(measure_fio_script "$list")")
	equal "timed jobs of round $round" "$(awk '$3 == 0 && $4 > 0 && $5 > 0' <<<"$got" | wc -l)" $((${#JOBS[@]} * ${#DISKS[@]}))
	awk -v round="$round" '{ print "time", round, $2, $1, $4, $5 }' <<<"$got" >>"$file"
}

# ---- one pass: a job on one disk, and all that is counted around it ----

# xl's figure for each domain's CPU time, and dom0's clock: MARK DOMAIN SECONDS.
measure_cpu_script() { # MARK
	echo "read up rest </proc/uptime; echo $1 clock \$up; xl list | awk 'NR > 1 { print \"$1\", \$1, \$6 }'"
}

# What all three domains have counted so far: DOMAIN NAME VALUE, and for the vgrant disk vgrantd's own.
measure_read() { # VDEV-OF-VGRANT
	local domain
	local -A id
	for domain in g1 driver dom0; do
		id[$domain]=$(begin "$domain" "counters read$([[ $domain != dom0 ]] ||
			echo "; vgrantctl stats g1 $1 | awk 'NF == 2 { print \"vgrantd:\" \$1, \$2 }'")")
	done
	for domain in g1 driver dom0; do
		finish "${id[$domain]}" 60 | sed "s/^/$domain /" || return 1
	done
}

# measure_pass PASS FILE RUNTIME LEAD WINDOW JOB DISK:DEVICE: runs the job for RUNTIME ms and adds its
# lines to FILE. LEAD ms after its start begins the window of WINDOW ms in which CPU time is taken, so
# that fio's own start is no part of it. What was counted at the end of the pass before, in
# MEASURE_LAST, is the beginning of this one: nothing uses the disks in between.
MEASURE_LAST=
measure_pass() {
	local pass=$1 file=$2 runtime=$3 lead=$4 window=$5 job=$6 disk=$7 words before after id cpu got error kib ms
	words="$pass ${disk%:*} $job"
	got=$(measure_fio "${runtime}ms" 0 "$job" "$disk")
	before=${MEASURE_LAST:-$(measure_read xvda)}
	id=$(begin g1 "$(measure_fio_script "$got")")
	cpu=$(on dom0 "usleep ${lead}000; $(measure_cpu_script from); usleep ${window}000; $(measure_cpu_script to)")
	got=$(finish "$id" $((runtime / 1000 + 90)))
	after=$(measure_read xvda)
	MEASURE_LAST=$after
	read -r _ _ error kib ms <<<"$got"
	[[ $error == 0 && $kib -gt 0 && $ms -gt 0 ]] || fail "$words: fio tells of an error, or of no work: $got"
	{
		echo "run $words $kib $ms"
		awk -v words="$words" 'NR == FNR { was[$1, $2] = $3; next } { print "count", words, $1, $2, $3 - was[$1, $2] }' \
			<(printf '%s\n' "$before") <(printf '%s\n' "$after")
		awk -v words="$words" '$1 == "from" { was[$2] = $3; next } $2 == "clock" { window = $3 - was[$2]; next }
			NF { print "cpu", words, $2, $3 - was[$2], window }' <<<"$cpu"
	} >>"$file"
}
