# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Domains: made, found, taken down; and what is printed when one of them hangs.

# domain_create NAME OPTION...: makes a domain of the boot's type and waits for its agent. Options:
#   memory=MiB  vcpus=N  ramdisk=driver|guest|none  kernel=PATH  cmdline=WORDS (appended)
#   paused=1 (not waited for)  any other NAME=VALUE: a line of the xl configuration
domain_create() {
	local name=$1 option memory=128 vcpus=$BOOT_SMP ramdisk=guest kernel=/lab/kernel cmdline='' paused='' lines='' out
	shift
	for option in "${BOOT_GUEST[@]}" "$@"; do
		case $option in
		memory=*) memory=${option#*=} ;;
		vcpus=*) vcpus=${option#*=} ;;
		ramdisk=*) ramdisk=${option#*=} ;;
		kernel=*) kernel=${option#*=} ;;
		cmdline=*) cmdline=${option#*=} ;;
		paused=*) paused=-p ;;
		*) lines+=$option$'\n' ;;
		esac
	done
	[[ $lines == *on_reboot=* ]] || lines+='on_reboot="destroy"'$'\n'
	[[ $ramdisk == none ]] || lines+="ramdisk=\"/lab/$ramdisk.cpio\""$'\n'
	if [[ ! -e $LAB_RUN/state/follow.$name ]]; then
		: >"$LAB_RUN/state/follow.$name"
		printf 'F %s\n' "$name" >&"$MACHINE_LINK"
	fi
	out=$(on dom0 -t 90 "cat >/root/$name.cfg <<'END'
name=\"$name\"
type=\"$BOOT_TYPE\"
kernel=\"$kernel\"
memory=$memory
vcpus=$vcpus
cmdline=\"console=hvc0 mitigations=off loglevel=5 ${BOOT_CMDLINE:-} ${cmdline}\"
on_poweroff=\"destroy\"
on_crash=\"destroy\"
$lines
END
xl create $paused /root/$name.cfg >/tmp/create.$name 2>&1 || { cat /tmp/create.$name; exit 1; }
xl domid $name") || {
		printf '%s\n' "$out"
		return 1
	}
	printf '%s\n' "$out" >"$LAB_RUN/state/domid.$name"
	[[ $paused ]] || domain_wait "$name"
}

# Asks dom0 for the domain's number: after xl create, and after a reboot that the guest did itself.
domain_refresh() {
	local id
	id=$(on dom0 "xl domid $1") || return 1
	printf '%s\n' "$id" >"$LAB_RUN/state/domid.$1"
}

domain_has_agent() { grep -q "^A $1 " "$LAB_RUN/state/events" || ! machine_alive; }

# Waits for the agent of a domain that was created or has rebooted.
domain_wait() { # NAME [SECONDS]
	local id
	id=$(domid "$1") || return 1
	if ! lab_until "${2:-60}" domain_has_agent "$id" || ! machine_alive; then
		problem "domain $1 ($id) did not come up within $(lab_scale "${2:-60}") s"
		: >"$LAB_RUN/state/hang"
		diagnose
		return 1
	fi
}

domain_destroy() { # NAME
	on dom0 "xl destroy $1" || return 1
	rm -f "$LAB_RUN/state/domid.$1"
}

# Waits (in dom0) until no domain of that name or number is listed any more, zombies included.
domain_gone() { # DOMID [SECONDS]
	local seconds
	seconds=$(lab_scale "${2:-20}")
	on dom0 -t "$((${2:-20} + 20))" "n=0; while xl list | awk '{ print \$2 }' | grep -qx $1; do
		n=\$((n + 1)); [ \$n -lt $((seconds * 5)) ] || { xl list; exit 1; }; usleep 200000; done"
}

# All domains that exist but dom0 and the driver domain; also zombies, whose name is (null).
domain_others() { on dom0 "xl list | awk 'NR > 1 && \$1 != \"Domain-0\" && \$1 != \"driver\" { print \$1 \" \" \$2 }'"; }

# log_has NAME PATTERN: does the domain's console hold it? Since the scenario's start only.
log_has() {
	local from=0
	[[ ! -e $LAB_RUN/state/mark.$1 ]] || from=$(<"$LAB_RUN/state/mark.$1")
	# (No pipeline: grep ends at the first match, and what tail then says of that would count.)
	grep -qE -- "$2" < <(tail -c "+$((from + 1))" "$LAB_RUN/$1.log" 2>/dev/null)
}

# Where every log is now: log_has and the runner's check look only at what comes after.
log_mark() {
	local file name
	rm -f "$LAB_RUN"/state/mark.*
	for file in "$LAB_RUN"/*.log; do
		name=${file##*/}
		stat -c %s "$file" >"$LAB_RUN/state/mark.${name%.log}"
	done
}

log_ends() { # LINES
	local file
	for file in "$LAB_RUN"/*.log; do
		[[ -s $file && ${file##*/} != trace.log ]] || continue
		printf -- '--- the last lines of %s\n' "$file"
		tail -n "$1" "$file"
	done
}

# A hang: what every domain was doing, as far as Xen, dom0 and the kernels still tell. The logs'
# ends are taken first, before what follows drowns them. In a process of its own, which no step that
# fails ends: that more than one thing does not answer is what is to be expected here.
diagnose() (
	set +eE
	trap - ERR
	# shellcheck disable=SC2034 # request_wait looks at it: a hang during the diagnosis is not diagnosed again
	LAB_DIAGNOSING=1
	kept=$(cat "$LAB_RUN/state/problem" 2>/dev/null)
	ends=$(log_ends 15)
	diagnose_all "$kept" "$ends" >>"$LAB_RUN/diagnosis.txt" 2>&1
	problem "$kept"
	# Not to standard output, which the caller may have taken for an answer.
	printf '%s\n(more in %s)\n' "$ends" "$LAB_RUN/diagnosis.txt" >&2
)

diagnose_all() { # WHY LOG-ENDS
	local file name
	printf '=== diagnosis: %s\n%s\n' "$1" "$2"
	if ! machine_alive; then
		echo "QEMU has ended: $(tail -n 3 "$LAB_RUN/qemu.log")"
		return
	fi
	echo "--- dom0: what runs there"
	if ! on dom0 -t 15 'uptime; free -m; ps | grep -v "\["'; then
		echo "dom0 does not answer either"
		return
	fi
	on dom0 -t 15 'xl list; xl vcpu-list'
	on dom0 -t 15 'for d in $(xenstore-list /local/domain); do for k in backend device; do
		xenstore-ls -f /local/domain/$d/$k 2>/dev/null | head -n 60; done; done'
	for file in "$LAB_RUN"/state/domid.*; do
		name=${file##*/domid.}
		[[ -e $file ]] || continue
		echo "--- $name: what runs there, and what it has said"
		on "$name" -t 15 'ps | grep -v "\["; for f in /run/lab/*.out; do echo "== $f"; tail -n 5 $f; done' || echo "$name does not answer"
	done
	# Blocked tasks and all processors' stacks, into each domain's own log; and Xen's view into dom0's.
	on dom0 -t 15 'for d in $(xl list | awk "NR > 2 { print \$2 }"); do xl sysrq $d w; sleep 1; xl sysrq $d l; done; sleep 1'
	on dom0 -t 15 'xl debug-keys q; xl debug-keys e; sleep 1; dmesg | tail -n 20'
	log_ends 60
}
