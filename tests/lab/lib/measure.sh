# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Measuring disks of one guest against each other: vgrantd's, blkback's in the same driver domain,
# qdisk's in dom0. What is measured goes line by line into a file, which lib/figures.awk makes a
# table and JSON of:
#   time ROUND DISK JOB KIB MS                      one timed job
#   run PASS DISK JOB KIB MS                        the job during which these were taken:
#   count PASS DISK JOB DOMAIN NAME DIFFERENCE      a counter, of x86/counters or of vgrantctl stats
#   cpu PASS DISK JOB DOMAIN SECONDS WINDOW         CPU time of a domain in a window of that job

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

# ---- jobs ----

# fio's words for a job, by its name.
measure_job() {
	case $1 in
	randread-4k-32) echo rw=randread bs=4k iodepth=32 ;;
	randread-4k-1) echo rw=randread bs=4k iodepth=1 ;;
	read-1m-4) echo rw=read bs=1m iodepth=4 ;;
	write-1m-4) echo rw=write bs=1m iodepth=4 ;;
	*) fail "there is no job $1" ;;
	esac
}

# measure_fio SECONDS WARM JOB DISK:DEVICE...: fio's job file, one after the other.
measure_fio() {
	local seconds=$1 warm=$2 job=$3 disk words
	shift 3
	words=$(measure_job "$job") || return 1
	for disk in "$@"; do
		printf '%s\n' "[$job:${disk%:*}]" "filename=/dev/${disk#*:}" stonewall direct=1 ioengine=io_uring gtod_reduce=1 norandommap=1 \
			time_based "runtime=$seconds" "ramp_time=$warm" "randseed=$RANDOM" "${words// /$'\n'}"
	done
}

# The script that runs a job file and prints, for each job: JOB DISK ERROR KIB MS.
measure_fio_script() { # FILE-CONTENT
	echo "cat >/tmp/measure.fio <<'END'
$1
END
fio --minimal --terse-version=3 /tmp/measure.fio >/tmp/fio.out 2>/tmp/fio.err || { cat /tmp/fio.err /tmp/fio.out; exit 1; }
awk -F';' '\$1 == 3 { split(\$3, name, \":\"); print name[1], name[2], \$5, \$6 + \$47, \$9 + \$50 }' /tmp/fio.out"
}

# ---- one pass: a job on one disk, and all that is counted around it ----

# xl's figure for each domain's CPU time, and dom0's clock: MARK DOMAIN SECONDS.
measure_cpu_script() { # MARK
	echo "read up rest </proc/uptime; echo $1 clock \$up; xl list | awk 'NR > 1 { print \"$1\", \$1, \$6 }'"
}

# What all three domains have counted so far: DOMAIN NAME VALUE, and for a vgrant disk vgrantd's own.
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

# measure_pass PASS FILE SECONDS JOB DISK:DEVICE: runs the job and adds its lines to FILE. Of at
# least 6 seconds all but the first 2 and the last 2 are the window in which CPU time is taken, so
# that fio's own start is no part of it. What was counted at the end of the pass before, in
# MEASURE_LAST, is the beginning of this one: nothing uses the disks in between.
MEASURE_LAST=
measure_pass() {
	local pass=$1 file=$2 seconds=$3 job=$4 disk=$5 words before after id cpu='' got error kib ms
	words="$pass ${disk%:*} $job"
	got=$(measure_fio "$seconds" 0 "$job" "$disk")
	before=${MEASURE_LAST:-$(measure_read xvda)}
	id=$(begin g1 "$(measure_fio_script "$got")")
	if ((seconds >= 6)); then
		cpu=$(on dom0 "sleep 2; $(measure_cpu_script from); sleep $((seconds - 4)); $(measure_cpu_script to)")
	fi
	got=$(finish "$id" $((seconds + 90)))
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
