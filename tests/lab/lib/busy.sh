# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest's disk under load, and what tells whether it moves.

# guest_busy NAME VDX: fio writes and reads there until busy_stop, or until the first error.
guest_busy() {
	on "$1" "fio --name=busy --filename=/dev/$2 --direct=1 --ioengine=io_uring --iodepth=16 --rw=randrw --bssplit=512/20:4k/60:64k/20 \
		--blockalign=512 --size=16m --offset=16m --time_based --runtime=3000 </dev/null >/run/busy.out 2>&1 &
		echo \$! >/run/busy.pid"
	guest_moves "$@"
}

# Waits until requests have been completed on the disk after now.
guest_moves() { # NAME VDX
	on "$1" "moved() { awk '{ print \$1 + \$5 }' /sys/block/$2/stat; }
		was=\$(moved); n=0; until [ \$(moved) -gt \$((was + 20)) ]; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 40) * 5)) ] || { cat /run/busy.out; dmesg | tail -n 5; exit 1; }; usleep 200000; done
		kill -0 \$(cat /run/busy.pid)"
}

# Ends the load, which must have met no error.
busy_stop() { # NAME
	on "$1" 'kill -TERM $(cat /run/busy.pid); n=0; while kill -0 $(cat /run/busy.pid) 2>/dev/null; do
		n=$((n + 1)); [ $n -lt 600 ] || exit 1; usleep 100000; done; grep -q "err= 0" /run/busy.out || { cat /run/busy.out; exit 1; }'
}
