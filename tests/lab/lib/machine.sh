# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The emulated machine: QEMU, its serial lines, and requests to the agents in its domains.
#
# LAB_RUN is the directory of one boot: dom0.log (Xen's and dom0's console), NAME.log (each other
# domain's console), trace.log (every request and its answer), state/ (what passes between the
# processes of the lab).

machine_command() { # the QEMU command line, one word a line
	printf '%s\n' qemu-system-x86_64 -accel tcg,thread=multi -cpu "${LAB_CPU:-qemu64,+svm,+npt,+rdrand}" -smp "$BOOT_SMP" \
		-m "${LAB_MEMORY:-2048}" -nodefaults -no-user-config -no-reboot -display none -monitor none \
		-serial file:dom0.log -chardev pipe,id=link,path=state/link -serial chardev:link \
		-kernel state/xen \
		-append "com1=115200,8n1 console=com1 dom0_mem=${LAB_DOM0_MEMORY:-512}M,max:${LAB_DOM0_MEMORY:-512}M spec-ctrl=no xpti=no loglvl=warning guest_loglvl=all" \
		-initrd "state/bzImage console=hvc0 mitigations=off,state/dom0.cpio"
}

machine_start() {
	local -a command
	local ready
	mkfifo "$LAB_RUN/state/link.in" "$LAB_RUN/state/link.out" || return 1
	: >"$LAB_RUN/state/events"
	MACHINE_START=$(lab_now_ms)
	mapfile -t command < <(machine_command)
	(cd "$LAB_RUN" && exec nice -n 10 "${command[@]}" >qemu.log 2>&1 </dev/null) &
	MACHINE_PID=$!
	machine_demux <"$LAB_RUN/state/link.out" &
	MACHINE_DEMUX=$!
	# Read and write: opening it must not wait for a QEMU that never came.
	exec {MACHINE_LINK}<>"$LAB_RUN/state/link.in"
	lab_until "${LAB_BOOT_SECONDS:-60}" machine_ready_or_dead
	if ! ready=$(grep -m 1 '^E ready' "$LAB_RUN/state/events"); then
		machine_alive || lab_note "QEMU ended by itself: $(tail -n 3 "$LAB_RUN/qemu.log")"
		lab_note "dom0 did not come up; the end of $LAB_RUN/dom0.log:"
		tail -n 25 "$LAB_RUN/dom0.log" >&2
		machine_stop
		return 1
	fi
	lab_note "$BOOT: dom0 is ${ready#E }; $(((($(lab_now_ms)) - MACHINE_START) / 1000)) s after QEMU's start"
}

machine_alive() { kill -0 "$MACHINE_PID" 2>/dev/null; }
machine_ready_or_dead() { grep -q '^E ready' "$LAB_RUN/state/events" || ! machine_alive; }

# Sorts what the agent sends into logs and answers. Ends with QEMU.
machine_demux() {
	local kind id rest now
	while IFS=' ' read -r kind id rest; do
		now=$(($(lab_now_ms) - MACHINE_START))
		case $kind in
		L) printf '[%4d.%03d] %s\n' $((now / 1000)) $((now % 1000)) "$rest" >>"$LAB_RUN/${id//[^a-zA-Z0-9_-]/_}.log" ;;
		O) printf '%s\n' "$rest" >>"$LAB_RUN/state/$id.b64" ;;
		R)
			: >>"$LAB_RUN/state/$id.b64"
			base64 -d "$LAB_RUN/state/$id.b64" >"$LAB_RUN/state/$id.out"
			printf '%s\n' "$rest" >"$LAB_RUN/state/$id.tmp"
			mv "$LAB_RUN/state/$id.tmp" "$LAB_RUN/state/$id.rc"
			;;
		A | E) printf '%s %s %s\n' "$kind" "$id" "$rest" >>"$LAB_RUN/state/events" ;;
		*) printf '%s %s %s\n' "$kind" "$id" "$rest" >>"$LAB_RUN/state/noise" ;;
		esac
	done
}

machine_stop() {
	[[ ${MACHINE_PID:-} ]] || return 0
	if machine_alive; then
		# Nothing in it is worth a shutdown: its disks are memory.
		kill -TERM "$MACHINE_PID" 2>/dev/null
		lab_until 5 machine_dead || kill -KILL "$MACHINE_PID" 2>/dev/null
	fi
	wait "$MACHINE_PID" 2>/dev/null
	exec {MACHINE_LINK}>&-
	kill "$MACHINE_DEMUX" 2>/dev/null
	wait "$MACHINE_DEMUX" 2>/dev/null
	rm -f "$LAB_RUN"/state/{link.in,link.out,bzImage,xen,*.cpio}
	MACHINE_PID=
}
machine_dead() { ! machine_alive; }

# ---- requests ----

trace() { printf '[%7d ms] %s\n' $(($(lab_now_ms) - MACHINE_START)) "$*" >>"$LAB_RUN/trace.log"; }

domid() { # NAME: the number of the domain with that name, as the lab knows it
	[[ $1 == dom0 ]] && echo 0 && return 0
	cat "$LAB_RUN/state/domid.$1" 2>/dev/null || {
		problem "no domain $1 was created"
		return 1
	}
}

# begin DOMAIN SCRIPT: starts the script there and prints the request's identifier, for finish.
begin() {
	local to id line parts=0
	to=$(domid "$1") || return 1
	id=$BASHPID-${EPOCHREALTIME//[^0-9]/}
	printf '%s\n' "$1" >"$LAB_RUN/state/$id.domain"
	printf '%s\n' "$2" >"$LAB_RUN/state/$id.script"
	trace "$id $1> $2"
	while read -r line; do
		printf 'P %s %s\n' "$id" "$line" >&"$MACHINE_LINK"
		parts=$((parts + 1))
	done < <(printf '%s\n' "$2" | base64 -w 800)
	printf 'X %s %s %d\n' "$id" "$to" $parts >&"$MACHINE_LINK"
	echo "$id"
}

request_over() { [[ -e $LAB_RUN/state/$1.rc ]] || ! machine_alive; }

# finish ID [SECONDS]: waits for the end of the request, prints its output, returns its status. When
# the time (60, scaled) is over the whole machine is diagnosed and the status is 124.
finish() {
	local id=$1 limit=${2:-60} status name script
	name=$(<"$LAB_RUN/state/$id.domain")
	script=$(<"$LAB_RUN/state/$id.script")
	if ! lab_until "$limit" request_over "$id" || [[ ! -e $LAB_RUN/state/$id.rc ]]; then
		trace "$id $name: no answer within $(lab_scale "$limit") s"
		problem "$name did not answer within $(lab_scale "$limit") s: ${script:0:200}"
		: >"$LAB_RUN/state/hang"
		[[ ${LAB_DIAGNOSING:-} ]] || diagnose
		return 124
	fi
	status=$(<"$LAB_RUN/state/$id.rc")
	trace "$id $name< status $status: $(<"$LAB_RUN/state/$id.out")"
	cat "$LAB_RUN/state/$id.out"
	[[ $status == 0 ]] || problem "$name: status $status from: ${script:0:200}: $(tail -n 2 "$LAB_RUN/state/$id.out" | tr '\n' ' ')"
	rm -f "$LAB_RUN/state/$id".*
	return "$status"
}

# on DOMAIN [-t SECONDS] SCRIPT: begin and finish in one. The script is for busybox' sh.
on() {
	local limit=60 name=$1 id
	shift
	if [[ $1 == -t ]]; then
		limit=$2
		shift 2
	fi
	id=$(begin "$name" "$1") || return 1
	finish "$id" "$limit"
}

# The words that a failure is reported with: the last thing that went wrong.
problem() { printf '%s\n' "$*" >"$LAB_RUN/state/problem"; }
