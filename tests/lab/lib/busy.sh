# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest's disks under load: what tells whether they move, and whether something was lost.

# A busy guest has little time for anything else, so what is asked of it here is asked in one script
# that starts as few processes as it can.

# The line that starts fio on a disk, in the background.
fio_line() { # VDX OPTION...
	echo "fio --name=busy --filename=/dev/$1 --direct=1 --ioengine=io_uring --iodepth=16 ${*:2} </dev/null >/run/busy.$1.out 2>&1 &
		echo \$! >/run/busy.$1.pid"
}

# guest_busy NAME VDX...: fio writes and reads there until busy_stop, or until the first error.
# Of requests of 72 KiB vgrantd maps the pages, smaller ones it copies.
guest_busy() { guest_busy_with 512/20:4k/60:72k/20 "$@"; }

# The same sizes from the first request to the last: fio's usual map of blocks that it has not touched yet leaves no
# room for large ones after some seconds.
guest_busy_evenly() { guest_busy_with '512/20:4k/60:72k/20 --norandommap' "$@"; }

guest_busy_with() { # SIZES NAME VDX...
	local disk lines=''
	for disk in "${@:3}"; do
		lines+=$(fio_line "$disk" --rw=randrw "--bssplit=$1" --blockalign=512 --size=16m --offset=16m --time_based --runtime=3000)$'\n'
	done
	on "$2" "$lines"
	guest_moves "${@:2}"
}

# Waits until requests have been completed on each of the disks after now.
guest_moves() { # NAME VDX...
	on "$1" -t 90 "for disk in ${*:2}; do
		read reads x x x writes x </sys/block/\$disk/stat
		was=\$((reads + writes)) n=0
		while read reads x x x writes x </sys/block/\$disk/stat && [ \$((reads + writes)) -le \$((was + 20)) ]; do
			n=\$((n + 1)); [ \$n -lt $(($(lab_scale 60) * 5)) ] || { cat /run/busy.\$disk.out; dmesg | tail -n 5; exit 1; }; usleep 200000
		done
		read pid </run/busy.\$disk.pid; kill -0 \$pid || { cat /run/busy.\$disk.out; exit 1; }; done"
}

# Waits for the end of the load; the output is to hold a line that matches.
busy_over() { # SIGNAL PATTERN NAME VDX...
	on "$3" -t 150 "for disk in ${*:4}; do read pid </run/busy.\$disk.pid; kill -$1 \$pid; done 2>/dev/null
		for disk in ${*:4}; do
		read pid </run/busy.\$disk.pid; n=0; while kill -0 \$pid 2>/dev/null; do
			n=\$((n + 1)); [ \$n -lt $(($(lab_scale 120) * 10)) ] || { cat /run/busy.\$disk.out; dmesg | tail -n 5; exit 1; }; usleep 100000
		done
		grep -qE '$2' /run/busy.\$disk.out || { echo \"fio on \$disk did not end with $2:\"; cat /run/busy.\$disk.out; exit 1; }; done"
}

# Ends the load, which must have met no error.
busy_stop() { busy_over TERM 'err= 0' "$@"; } # NAME VDX...

# The load on a disk that failed must end by itself, and tell of an error.
busy_failed() { busy_over 0 'err= *[1-9]' "$@"; } # NAME VDX...

# ---- records: nothing that was completed may be lost ----

# fio writes each 4 KiB of the disk but the first once, in random order. A block holds its own place
# and the number MARK; fio lists those whose completion it was told of. Ends as guest_busy does. (A
# rate, so that the disk's end is far when the disk's end comes.)
records_start() { # NAME VDX MARK
	on "$1" "rm -f /run/records_*
		$(fio_line "$2" --rw=randwrite --bs=4k --offset=4k --rate_iops=100 --verify=pattern --verify_pattern="$(records_pattern "$3")" \
		--do_verify=0 --verify_state_save=0 --randseed="$3" --write_lat_log=/run/records --log_offset=1 --disable_slat=1 --disable_lat=1)"
	guest_moves "$1" "$2"
}

records_pattern() { printf '%%o0x%08x' "$1"; } # MARK

# Reads all the blocks back from a disk: what was completed is there, and more than nothing was. The
# list is made a script of reads for fio, which tells how much it read.
records_check() { # NAME VDX MARK
	local got
	got=$(on "$1" -t 180 "echo 3 >/proc/sys/vm/drop_caches
		awk -F', *' -v d=/dev/$2 'BEGIN { print \"fio version 2 iolog\"; print d \" add\"; print d \" open\" }
			\$3 == 1 { print d \" read \" \$5 \" \" \$4; n++ } END { print n + 0 >\"/run/records_count\" }' /run/records_clat.1.log >/run/records_replay
		fio --name=check --filename=/dev/$2 --direct=1 --ioengine=io_uring --iodepth=16 --read_iolog=/run/records_replay --replay_no_stall=1 \
			--verify=pattern --verify_pattern=$(records_pattern "$3") --verify_fatal=1 --verify_dump=0 --verify_state_save=0 \
			--minimal --terse-version=3 >/run/check.out 2>&1 || { cat /run/check.out; exit 1; }
		awk -F';' 'END { print \$6, \$5 }' /run/check.out; cat /run/records_count")
	echo "records: KiB read back, error, number of those completed: ${got//$'\n'/ }"
	awk 'NR == 1 { kib = $1; error = $2 } NR == 2 { exit !(error == 0 && $1 > 20 && kib == 4 * $1) }' <<<"$got" ||
		fail "not all that was completed on $1's $2 was read back: $got"
}
