# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The driver domain, vgrantd in it, disks, and what must not be left when a scenario is over.

# The unprivileged domain that serves disks. It lives as long as the machine; its RAM disks are the
# backing store that distorts least.
driver_create() {
	domain_create driver ramdisk=driver "memory=${LAB_DRIVER_MEMORY:-320}" driver_domain=1 \
		"cmdline=brd.rd_nr=4 brd.rd_size=${LAB_DISK_KIB:-49152}" || return 1
	driver_ports >"$LAB_RUN/state/ports"
}

# Event channels that the driver domain has, apart from Xen's and its console's own.
driver_ports() { on dom0 "lsevtchn $(domid driver) | wc -l"; }

# daemon_start [OPTION...]: vgrantd in the driver domain. What it says goes to that domain's console,
# its status at the end to /run/vgrantd.status.
daemon_start() {
	on driver "rm -f /run/vgrantd.*
		(sh -c 'echo \$\$ >/run/vgrantd.pid; exec vgrantd --verbose $*' >/dev/console 2>&1
		echo \$? >/run/vgrantd.status) >/dev/null 2>&1 &
		n=0; until [ -s /run/vgrantd.pid ]; do n=\$((n + 1)); [ \$n -lt 100 ] || exit 1; usleep 50000; done; usleep 200000
		kill -0 \$(cat /run/vgrantd.pid)"
}

daemon_signal() { on driver "kill -$1 \$(cat /run/vgrantd.pid)"; } # SIGNAL

# Ends vgrantd and prints its exit status.
daemon_stop() {
	local seconds
	seconds=$(lab_scale 20)
	on driver -t 40 "kill -TERM \$(cat /run/vgrantd.pid)
		n=0; until [ -s /run/vgrantd.status ]; do n=\$((n + 1)); [ \$n -lt $((seconds * 10)) ] || exit 1; usleep 100000; done
		cat /run/vgrantd.status"
}

# disk NAME TARGET [OPTIONS]: the disk specification of an xl configuration, served by the driver domain.
disk() { echo "format=raw,vdev=$1,access=${3:-rw},backendtype=standalone,specification=virtio,backend=driver,target=$2"; }

# The same as a line of the configuration: disks SPECIFICATION...
disks() {
	local list
	printf -v list "'%s'," "$@"
	echo "disk=[${list%,}]"
}

# Fills a RAM disk of the driver domain with random bytes (openssl-free: /dev/urandom is quick here).
disk_fill() { on driver -t 120 "dd if=/dev/urandom of=$1 bs=1M 2>/dev/null; sync"; } # DEVICE
disk_sum() { on driver -t 120 "sha256sum <$1 | cut -d' ' -f1"; }                     # DEVICE

# Takes a disk from the guest's kernel, for a driver in user space: the kernel's resets the device
# and gives every grant back before the write returns.
guest_release() { # NAME DEVID
	on "$1" "d=/sys/bus/xen/devices/virtio_disk-$2; [ ! -e \$d/driver ] || echo virtio_disk-$2 >\$d/driver/unbind
		n=0; while [ -e \$d/driver ] || ls /sys/block | grep -q '^vd'; do
		n=\$((n + 1)); [ \$n -lt 300 ] || exit 1; usleep 100000; done"
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
		sleep 0.5
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
	if on driver '[ -e /run/vgrantd.pid ] && [ ! -e /run/vgrantd.status ] && echo yes; true' | grep -q yes; then
		status=$(daemon_stop) || return 1
		[[ $status == 0 ]] || {
			problem "vgrantd ended with status $status on SIGTERM"
			return 1
		}
	fi
}
