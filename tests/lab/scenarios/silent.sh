# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: vgrantd falls silent before its offer, during probe, I/O, resume and shutdown: the device fails, the guest goes on
# boots: pv pvh
# needs: vgrantd
# expects: I/O error|Buffer I/O error

# The guest's other devices and its console: an agent that answers (through xenstore), a RAM disk, and
# a line that reaches the console's log.
goes_on() { # WORDS
	on g1 "dd if=/dev/urandom of=/dev/ram0 bs=64k count=16 2>/dev/null; sync; echo '$1: going on' >/dev/console"
	lab_until 30 log_has g1 "$1: going on" || fail "the console's line '$1' did not come"
}

# The guest's kernel gives the device up within its watchdog's time, plus a margin for a slow machine.
# (Asked of this guest itself: the log has what earlier ones said.)
given_up() { # WORDS
	on g1 -t 120 "n=0; until dmesg | grep -q 'device given up'; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 60) * 5)) ] || { dmesg | tail -n 5; exit 1; }; usleep 200000; done" ||
		fail "$1: the device was not given up"
}

# A boot that was not held up by a disk that does not come, nor by xenbus' own limit of minutes: it
# took little more than the watchdog's time.
not_held() { # WORDS
	local up limit
	limit=$((5 + $(lab_scale 40)))
	up=$(on g1 "dmesg | sed -n 's/^\\[ *\\([0-9]*\\)[.].*Run .* as init process.*/\\1/p'")
	echo "$1: init runs after $up s"
	if [[ ! $up ]] || ((up >= limit)); then fail "$1: the guest's boot took $up s"; fi
	equal "$1: block devices of a backend that said nothing" "$(on g1 'ls /sys/block | grep ^vd; true')" ""
}

# vgrantd goes on, and is not too late.
comes_late() {
	daemon_signal_all CONT
	on g1 -t 120 "n=0; until head -c 1 /dev/vda >/dev/null 2>&1; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 60) * 10)) ] || { dmesg | tail -n 5; exit 1; }; usleep 100000; done
		dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null"
}

silent_guest() { # OPTION...
	domain_create g1 "cmdline=virtio_msg.timeout=5 $guest_words" "$(disks "$(disk xvda /dev/ram0)")" "$@"
}

# The toolstack has written both directories, and no offer comes.
before_offer() {
	local id attaching
	domain_create g1 "cmdline=virtio_msg.timeout=5 $guest_words" paused=1
	id=$(domid g1)
	daemon_signal_all STOP
	attaching=$(begin dom0 "vgrantctl attach g1 --backend driver --image /dev/ram0 --vdev xvda --timeout $(lab_scale 240)")
	on dom0 "n=0; until xenstore-exists /local/domain/$id/device/virtio_disk/51712/state; do
		n=\$((n + 1)); [ \$n -lt 100 ] || exit 1; usleep 100000; done; xl unpause g1"
	domain_wait g1 120
	goes_on offer
	not_held offer
	comes_late
	finish "$attaching" 240
	domain_destroy g1
	nothing_left
}

during_probe() {
	# Made, but it does not run yet: vgrantd has offered the disk when xl returns.
	silent_guest paused=1
	daemon_signal_all STOP
	on dom0 "xl unpause g1"
	domain_wait g1 120
	goes_on probe
	not_held probe
	comes_late
	domain_destroy g1
	nothing_left
}

# Nothing of what is copied is held by a vgrantd that stands still: every request fails.
during_io() {
	silent_guest
	guest_busy_with 512/30:4k/50:32k/20 g1 vda
	daemon_signal_all STOP
	given_up io
	busy_failed g1 vda
	goes_on io
	daemon_signal_all CONT
	domain_destroy g1
	nothing_left
}

# What it stands still with, mapped, is never completed, so the load may not end. Whether something was
# mapped in that moment is chance: then the guest's log tells, and else every request has failed.
during_mapped_io() {
	silent_guest
	guest_busy_with 72k/100 g1 vda
	daemon_signal_all STOP
	given_up mapped
	kept_or_failed g1 vda
	goes_on mapped
	daemon_signal_all CONT
	domain_destroy g1
	nothing_left
}

kept_or_failed() { # NAME VDX
	local kept
	kept=$(on "$1" "dmesg | grep 'does not let go of'; true")
	if [[ $kept ]]; then
		echo "$kept"
		on "$1" "read pid </run/busy.$2.pid; kill -0 \$pid" || fail "a request whose page the backend holds was completed"
	else
		busy_failed "$@"
	fi
}

# vgrantd has offered the disk to a guest that was restored, and is silent when the guest runs.
during_resume() {
	silent_guest
	guest_busy g1 vda
	on dom0 -t 240 "xl save g1 /tmp/saved 2>&1 && xl restore -p /tmp/saved 2>&1; s=\$?; rm -f /tmp/saved; exit \$s"
	domain_refresh g1
	daemon_signal_all STOP
	on dom0 "xl unpause g1"
	busy_failed g1 vda
	goes_on resume
	comes_late
	domain_destroy g1
	nothing_left
}

during_shutdown() {
	local id
	silent_guest
	guest_busy g1 vda
	daemon_signal_all STOP
	id=$(domid g1)
	on g1 '(sleep 1; poweroff -f) >/dev/null 2>&1 &'
	# Gone, or held by nothing but the pages that the stopped vgrantd still maps.
	on dom0 -t 180 "n=0; while xl list | awk -v id=$id '\$2 == id && \$5 !~ /[sd]/' | grep .; do
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 150) * 5)) ] || { xl list; exit 1; }; usleep 200000; done"
	daemon_signal_all CONT
	nothing_left
}

scenario() {
	local guest_words=brd.rd_nr=1
	daemon_start
	before_offer
	during_probe
	during_io
	during_mapped_io
	during_resume
	during_shutdown
	# And the same vgrantd serves the next guest.
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")"
	guest_busy g1 vda
	busy_stop g1 vda
}
