# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: vgrantd falls silent during probe, I/O and shutdown: the device fails, the guest goes on
# boots: pv pvh
# needs: vgrantd
# expects: I/O error|Buffer I/O error

# All processes of vgrantd: the supervisor and its workers.
all_of_vgrantd() { on driver "for p in /proc/[0-9]*; do [ \"\$(cat \$p/comm 2>/dev/null)\" != vgrantd ] || kill -$1 \${p##*/}; done"; }

# The guest's other devices and its console: an agent that answers (through xenstore), a RAM disk, and
# a line that reaches the console's log.
goes_on() { # WORDS
	on g1 "dd if=/dev/urandom of=/dev/ram0 bs=64k count=16 2>/dev/null; sync; echo '$1: going on' >/dev/console"
	lab_until 30 log_has g1 "$1: going on" || fail "the console's line '$1' did not come"
}

# The guest's kernel gives the device up within its watchdog's time, plus a margin for a slow machine.
given_up() { # WORDS
	lab_until 120 log_has g1 'device given up|given up|I/O error' || fail "$1: the device was not given up: $(on g1 'dmesg | tail -n 5')"
}

silent_guest() { # OPTION...
	domain_create g1 "cmdline=virtio_msg.timeout=5 $guest_words" "$(disks "$(disk xvda /dev/ram0)")" "$@"
}

during_probe() {
	# Made, but it does not run yet: vgrantd has offered the disk when xl returns.
	silent_guest paused=1
	all_of_vgrantd STOP
	on dom0 "xl unpause g1"
	domain_wait g1 120
	goes_on probe
	equal "block devices of a backend that said nothing" "$(on g1 'ls /sys/block | grep ^vd; true')" ""
	all_of_vgrantd CONT
	domain_destroy g1
	nothing_left
}

during_io() {
	silent_guest
	guest_busy g1 vda
	all_of_vgrantd STOP
	given_up io
	on g1 -t 120 'n=0; while kill -0 $(cat /run/busy.pid) 2>/dev/null; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; usleep 100000; done
		! grep -q "err= 0" /run/busy.out'
	goes_on io
	all_of_vgrantd CONT
	domain_destroy g1
	nothing_left
}

during_shutdown() {
	local id
	silent_guest
	guest_busy g1 vda
	all_of_vgrantd STOP
	id=$(domid g1)
	on g1 '(sleep 1; poweroff -f) >/dev/null 2>&1 &'
	# Gone, or held by nothing but the pages that the stopped vgrantd still maps.
	on dom0 -t 180 "n=0; while xl list | awk -v id=$id '\$2 == id && \$5 !~ /[sd]/' | grep .; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 150) * 5)) ] || { xl list; exit 1; }; usleep 200000; done"
	all_of_vgrantd CONT
	nothing_left
}

scenario() {
	local guest_words=brd.rd_nr=1
	daemon_start
	during_probe
	during_io
	during_shutdown
	# And the same vgrantd serves the next guest.
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	guest_busy g1 vda
	busy_stop g1
}
