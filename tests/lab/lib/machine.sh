# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The emulated machine: QEMU, its serial lines, and requests to the agents in its domains.
#
# LAB_RUN is the directory of one boot: dom0.log (Xen's and dom0's console), NAME.log (each other
# domain's console), trace.log (every request and its answer), state/ (what passes between the
# processes of the lab).

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

# Sorts what the agent sends into logs and answers. Ends with QEMU. It starts no process for a line
# of a log, since a kernel that tells of trouble tells much at once.
machine_demux() {
	local kind id rest now stamp
	while IFS=' ' read -r kind id rest; do
		case $kind in
		L)
			now=$((${EPOCHREALTIME/[.,]/} / 1000 - MACHINE_START))
			printf -v stamp '[%4d.%03d]' $((now / 1000)) $((now % 1000))
			printf '%s %s\n' "$stamp" "$rest" >>"$LAB_RUN/${id//[^a-zA-Z0-9_-]/_}.log"
			;;
		O) printf '%s\n' "$rest" >>"$LAB_RUN/state/$id.b64" ;;
		R)
			if [[ -e $LAB_RUN/state/$id.b64 ]]; then
				base64 -d "$LAB_RUN/state/$id.b64" >"$LAB_RUN/state/$id.out"
			fi
			printf '%s\n' "$rest" >"$LAB_RUN/state/$id.rc"
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
	rm -f "$LAB_RUN"/state/{link.in,link.out,kernel,stock-kernel,xen,*.cpio}
	MACHINE_PID=
}
machine_dead() { ! machine_alive; }

# ---- requests ----

trace() { printf '[%7d ms] %s\n' $((${EPOCHREALTIME/[.,]/} / 1000 - MACHINE_START)) "$*" >>"$LAB_RUN/trace.log"; }

domid() { # NAME: the number of the domain with that name, as the lab knows it
	[[ $1 == dom0 ]] && echo 0 && return 0
	cat "$LAB_RUN/state/domid.$1" 2>/dev/null || {
		problem "no domain $1 was created"
		return 1
	}
}

# Sends the script to the domain; REQUEST is then the request's identifier.
request_send() { # DOMAIN SCRIPT
	local to=0 line pieces=0
	[[ $1 == dom0 ]] || read -r to 2>/dev/null <"$LAB_RUN/state/domid.$1" || {
		problem "no domain $1 was created"
		return 1
	}
	REQUEST=$BASHPID-${EPOCHREALTIME//[^0-9]/}
	trace "$REQUEST $1> $2"
	# The agent's lines have an end; a longer one goes in pieces.
	while IFS= read -r line; do
		while ((${#line} > 900)); do
			printf 'p %s %s\n' "$REQUEST" "${line:0:900}" >&"$MACHINE_LINK"
			line=${line:900}
			pieces=$((pieces + 1))
		done
		printf 'P %s %s\n' "$REQUEST" "$line" >&"$MACHINE_LINK"
		pieces=$((pieces + 1))
	done <<<"$2"
	printf 'X %s %s %d\n' "$REQUEST" "$to" "$pieces" >&"$MACHINE_LINK"
}

request_over() { [[ -s $LAB_RUN/state/$1.rc ]] || ! machine_alive; }

# Under emulated nested paging a processor that sleeps can miss its wake-up: all of its domain, timers
# included, then stands still until the next event. This is one, for each domain: an empty key.
machine_prod() {
	trace "all domains: an event each"
	request_send dom0 'for d in $(xenstore-list /local/domain); do [ $d = 0 ] || xenstore-write /local/domain/$d/control/sysrq ""; done'
}

request_await() { # ID SECONDS
	local left=$2
	while [[ $BOOT == @(pvh|hvm)* ]] && ((left > 10)); do
		lab_until 10 request_over "$1" && return
		machine_prod
		left=$((left - 10))
	done
	lab_until "$left" request_over "$1"
}

# Waits for the end of a request, prints its output, returns its status. When the time (scaled) is
# over the whole machine is diagnosed and the status is 124.
request_wait() { # ID SECONDS DOMAIN SCRIPT
	local file=$LAB_RUN/state/$1 status out=''
	if ! request_await "$1" "$2" || [[ ! -s $file.rc ]]; then
		trace "$1 $3: no answer within $(lab_scale "$2") s"
		problem "$3 did not answer within $(lab_scale "$2") s: ${4:0:200}"
		: >"$LAB_RUN/state/hang"
		[[ ${LAB_DIAGNOSING:-} ]] || diagnose
		return 124
	fi
	read -r status <"$file.rc"
	if [[ -s $file.out ]]; then
		IFS= read -r -d '' out <"$file.out" || true
		cat "$file.out"
	fi
	trace "$1 $3< status $status: $out"
	[[ $status == 0 ]] || problem "$3: status $status from: ${4:0:200}: $(tail -n 2 <<<"${out%$'\n'}" | tr '\n' ' ')"
	rm -f "$file".*
	return "$status"
}

# begin DOMAIN SCRIPT: starts the script there and prints the request's identifier, for finish.
begin() {
	request_send "$@" || return 1
	printf '%s\n' "$1" >"$LAB_RUN/state/$REQUEST.domain"
	printf '%s\n' "$2" >"$LAB_RUN/state/$REQUEST.script"
	echo "$REQUEST"
}

# finish ID [SECONDS]: the end of what begin has started, within 60 s when nothing is said.
finish() {
	request_wait "$1" "${2:-60}" "$(<"$LAB_RUN/state/$1.domain")" "$(<"$LAB_RUN/state/$1.script")"
}

# on DOMAIN [-t SECONDS] SCRIPT: begin and finish in one. The script is for busybox' sh.
on() {
	local limit=60 name=$1
	shift
	if [[ $1 == -t ]]; then
		limit=$2
		shift 2
	fi
	request_send "$name" "$1" || return 1
	request_wait "$REQUEST" "$limit" "$name" "$1"
}

# The words that a failure is reported with: the last thing that went wrong.
problem() { printf '%s\n' "$*" >"$LAB_RUN/state/problem"; }
