# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The driver domain, vgrantd in it, disks, and what must not be left when a scenario is over.

# The unprivileged domain that serves disks. It lives as long as the machine; its RAM disks are the
# backing store that distorts least. In boots that have none, "driver" is dom0, for scenarios too.
driver_create() {
	if ((${#BOOT_DRIVER[@]})); then
		domain_create driver "${BOOT_DRIVER[@]}" ramdisk=driver driver_domain=1 \
			"cmdline=brd.rd_nr=4 brd.rd_size=${LAB_DISK_KIB:-49152}" || return 1
	else
		echo 0 >"$LAB_RUN/state/domid.driver"
	fi
	driver_ports >"$LAB_RUN/state/ports"
}

# Event channels that the driver domain has, apart from Xen's and its console's own.
driver_ports() { on dom0 "lsevtchn $(domid driver) | wc -l"; }

# daemon_start [OPTION...]: vgrantd in the driver domain. What it says goes to that domain's console,
# its status at the end to /run/vgrantd.status.
daemon_start() { daemon_run vgrantd "$@"; }

# hostile_start WORDS [OPTION...]: the same with vgrantd-hostile, told to do that (tests/hostile).
hostile_start() { daemon_run "env VGRANT_HOSTILE=$1 vgrantd-hostile" "${@:2}"; }

# All of its processes end at once, whatever they are at.
daemon_kill() {
	daemon_signal_all KILL
	lab_until 20 no_daemon || fail "vgrantd outlives SIGKILL: $(daemon_processes)"
}

daemon_run() { # PROGRAM [OPTION...]
	on driver "rm -f /run/vgrantd.*
		(sh -c 'echo \$\$ >/run/vgrantd.pid; exec $1 --verbose ${BOOT_DAEMON:-} ${*:2}' >/dev/console 2>&1
		echo \$? >/run/vgrantd.status) >/dev/null 2>&1 &
		n=0; until [ -s /run/vgrantd.pid ]; do n=\$((n + 1)); [ \$n -lt 100 ] || exit 1; usleep 50000; done; usleep 200000
		kill -0 \$(cat /run/vgrantd.pid)"
}

# The vgrantd in the driver domain is the one that was built: one binary for every boot of a run.
daemon_same() {
	local sum
	sum=$(sha256sum <"$(lab_program vgrantd)")
	equal "the checksum of vgrantd in the driver domain" "$(on driver 'sha256sum </bin/vgrantd')" "$sum"
	echo "vgrantd has sha256 ${sum%% *}; Xen $(on driver 'cd /sys/hypervisor/version; echo $(cat major).$(cat minor)$(cat extra), Linux $(uname -r)')"
}

# The numbers of vgrantd's processes, the supervisor, vgrantd, and its workers, vgrantd-gDOMID; or of
# the workers only.
daemon_processes() { on driver "grep -l ^vgrantd /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3 | sort -n | xargs"; }
daemon_workers() { on driver "grep -l ^vgrantd-g /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3 | sort -n | xargs"; }
no_daemon() { [[ ! $(daemon_processes) ]]; }

daemon_signal() { on driver "kill -$1 \$(cat /run/vgrantd.pid)"; } # SIGNAL
daemon_signal_all() { on driver "kill -$1 $(daemon_processes)"; }  # SIGNAL: to the workers, too

# Ends vgrantd and prints its exit status.
daemon_stop() {
	local seconds
	seconds=$(lab_scale 20)
	on driver -t 40 "kill -TERM \$(cat /run/vgrantd.pid)
		n=0; until [ -s /run/vgrantd.status ]; do n=\$((n + 1)); [ \$n -lt $((seconds * 10)) ] || exit 1; usleep 100000; done
		cat /run/vgrantd.status"
}

# disk NAME TARGET [OPTIONS]: the disk specification of an xl configuration, served by the driver domain.
disk() { echo "format=raw,vdev=$1,access=${3:-rw},backendtype=standalone,specification=virtio,backend=$(domid driver)${BOOT_IOREQ:+,grant_usage=1},target=$2"; }

# The same as a line of the configuration: disks SPECIFICATION...
disks() {
	local list
	printf -v list "'%s'," "$@"
	echo "disk=[${list%,}]"
}

# Fills a RAM disk of the driver domain with random bytes (openssl-free: /dev/urandom is quick here).
disk_fill() { on driver -t 120 "dd if=/dev/urandom of=$1 bs=1M 2>/dev/null; sync"; } # DEVICE
disk_sum() { on driver -t 120 "sha256sum <$1 | cut -d' ' -f1"; }                     # DEVICE

# Waits until the guest has the disk of that device number, and prints its name there: vda ... With
# a sequence number: a disk that came after it.
guest_disk() { # NAME DEVID [SEQUENCE]
	on "$1" -t 90 "n=0; while :; do
		d=\$(dmesg | sed -n 's,.*virtio-msg-xen\.\([0-9]*\): device/virtio_disk/$2\,.*,\1,p' | tail -n 1)
		# (The pattern itself, where there is none; one may have come by the next word.)
		for b in /sys/block/vd*; do [ \"\$b\" != '/sys/block/vd*' ] || continue; case \$(readlink -f \$b) in
			*/virtio-msg-xen.\${d:-none}/*)
				[ \$(cat \$b/size) = 0 ] || [ \$(cat \$b/diskseq) -le ${3:-0} ] ||
					{ head -c 1 /dev/\${b##*/} >/dev/null 2>&1 && echo \${b##*/} && exit 0; } ;;
		esac; done
		n=\$((n + 1)); [ \$n -lt $(($(lab_scale 60) * 10)) ] || { dmesg | tail -n 5; ls /sys/block; exit 1; }; usleep 100000; done"
}

# The kernel's number of the newest disk: those that come later have higher ones.
guest_disk_newest() { on "$1" "cat /sys/block/*/diskseq | sort -n | tail -n 1"; } # NAME

# A figure that the guest's driver tells of one of its devices; *, where there is but one.
guest_figure() { # NAME FIGURE [NUMBER]
	on "$1" "awk '\$1 == \"$2\" { print \$2 }' /sys/kernel/debug/virtio-msg-xen/virtio-msg-xen.${3:-0}"
}

# Takes a disk from the guest's kernel, for a driver in user space: the kernel's resets the device
# and gives every grant back before the write returns.
guest_release() { # NAME DEVID
	on "$1" "d=/sys/bus/xen/devices/virtio_disk-$2; [ ! -e \$d/driver ] || echo virtio_disk-$2 >\$d/driver/unbind
		n=0; while [ -e \$d/driver ] || ls /sys/block | grep -q '^vd'; do
		n=\$((n + 1)); [ \$n -lt 300 ] || exit 1; usleep 100000; done"
}

# ---- what is held of a guest, and what stays behind ----

# The guest's grants that the driver domain holds, as Xen's debug key tells: how many lines of the
# guest's table have the driver domain as the one that uses the entry, and the first of them.
grants_held() { # NAME
	on dom0 "xl dmesg -c >/dev/null; xl debug-keys g; sleep 1; xl dmesg | awk -v guest=d$(domid "$1") -v by=$(domid driver) '
		/grant-table for remote d/ { inside = 0; for (i = 1; i <= NF; i++) if (\$i == guest) inside = seen = 1 }
		inside && /\[0x/ { split(\$0, part, \"]\"); split(part[2], field, \" \"); if (field[1] == by && !n++) first = \$0 }
		END { if (!seen) { print \"Xen tells nothing of \" guest; exit 1 } if (n) print n \": \" first }'"
}

no_grants_held() { # NAME
	local held end=$((SECONDS + $(lab_scale 20)))
	while held=$(grants_held "$1"); [[ $held ]]; do
		((SECONDS < end)) || fail "the driver domain still holds grants of $1: ${held//$'\n'/; }"
		lab_nap 0.5
	done
}

# The directories of all devices that vgrantd serves, of both ends, one a line.
device_directories() { # GUEST...
	local name paths
	paths=/local/domain/$(domid driver)/backend/virtio_disk
	for name; do
		paths+=" /local/domain/$(domid "$name")/device/virtio_disk"
	done
	on dom0 "for p in $paths; do xenstore-ls -f \$p 2>/dev/null | sed 's/ = .*//'; done | grep -vE '/vgrant-(stats|stats-request|error)\$'; true"
}

# All that exists because of a guest's devices: directories, event channels of both ends, open files
# of vgrantd's processes, pages that are mapped, devices and interrupts in the guest. To be compared
# with another time when as much is attached, and the disks are quiet.
holdings() { # GUEST
	local held processes
	device_directories "$1" || return 1
	on dom0 "echo event channels: \$(lsevtchn $(domid driver) | wc -l) \$(lsevtchn $(domid "$1") | wc -l)" || return 1
	processes=$(daemon_processes) || return 1
	on driver "for p in $processes; do ls /proc/\$p/fd | wc -l; done | xargs echo open files of vgrantd\'s processes:" || return 1
	held=$(grants_held "$1") || return 1
	echo "grants held: ${held%%:*}"
	on "$1" 'echo devices: $(ls /sys/bus/virtio/devices) interrupts: $(grep -c virtio-msg /proc/interrupts)'
}

# Waits until a guest's holdings are what they were: vgrantd and the guest let go a little after
# vgrantctl has returned.
holdings_are() { # GUEST WANTED WHEN
	local now end=$((SECONDS + $(lab_scale 30)))
	until now=$(holdings "$1") && [[ $now == "$2" ]]; do
		((SECONDS < end)) || fail "$3 something is left or lost: $(diff <(echo "$2") <(echo "$now") | grep '^[<>]' | tr '\n' ';')"
		lab_nap 0.5
	done
}

# What devices the driver domain has in xenstore, one directory a line.
backend_directories() {
	on dom0 "for k in virtio_disk virtio; do xenstore-ls -f /local/domain/$(domid driver)/backend/\$k 2>/dev/null |
		grep -E '/[0-9]+/[0-9]+ = '; done; true"
}

# Domains that exist but dom0 and the driver domain, and backend directories, one a line.
left_behind() {
	domain_others | sed 's/^/a domain: /'
	backend_directories | sed 's/^/a backend directory: /'
}

# What guests that are gone must not leave, or what the caller names besides dom0 and the driver
# domain: waits for it a while, since vgrantd lets go a little after xl has seen the state that it
# waits for. Zombie domains are listed like any other.
nothing_left() {
	local left end=$((SECONDS + $(lab_scale 20)))
	while :; do
		left=$(left_behind) || return 1
		[[ $left ]] || break
		((SECONDS < end)) || {
			problem "stays behind: ${left//$'\n'/; }"
			return 1
		}
		lab_nap 0.5
	done
	left=$(driver_ports) || return 1
	((left <= $(<"$LAB_RUN/state/ports"))) || {
		problem "event channels stay behind in the driver domain: $left, at the start $(<"$LAB_RUN/state/ports")"
		return 1
	}
}

# After every scenario: takes down the guests that it left, looks for what stayed behind, ends vgrantd.
settle() {
	local name id status
	while read -r name id; do
		[[ $name ]] || continue
		on dom0 "xl destroy $id" || return 1
	done < <(domain_others)
	nothing_left || return 1
	if [[ $(on driver '[ -e /run/vgrantd.pid ] && [ ! -e /run/vgrantd.status ] && echo yes; true') == *yes* ]]; then
		status=$(daemon_stop) || return 1
		[[ $status == 0 ]] || {
			problem "vgrantd ended with status $status on SIGTERM"
			return 1
		}
	fi
}

# What another scenario does, as a part of this one and in this one's boot.
part() { # SCENARIO
	echo "--- what $1 does"
	(
		# shellcheck disable=SC1090
		. "$LAB_DIR/scenarios/$1.sh"
		scenario
	)
	settle
}
