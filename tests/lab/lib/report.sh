# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Runs scenarios and prints a line for each.

LAB_PASSED=0
LAB_FAILED=0
LAB_SKIPPED=0

# A line in a log that fails the scenario in which it appears, unless the scenario expects it.
LAB_TROUBLE='BUG:|WARNING: (CPU|possible|suspicious|bad)|Oops|general protection|Call Trace|Kernel panic|blocked for more than|Xen BUG|Assertion .* failed|AddressSanitizer|runtime error:|segfault at'

# scenario_field FILE FIELD: the value of a line "# FIELD: value" in the head of a scenario.
# boots:   the boots that it runs in (default: pv)
# full:    yes, or names of boots: there only with --full or when it is named
# dom0:    what else dom0's image must have (x86/qdisk.sh)
# expects: a pattern of log lines that are no trouble here
# needs:   programs of our build that must exist
scenario_field() { sed -n "/^#/!q; s/^# $2: *//p" "$1"; }

scenario_full() { # FILE BOOT
	local full
	full=" $(scenario_field "$1" full) "
	[[ $full == *" yes "* || $full == *" $2 "* ]]
}

# fail WORDS: ends the scenario.
fail() {
	problem "$*"
	exit 1
}

# check WORDS COMMAND...: the command must succeed.
check() {
	local words=$1
	shift
	"$@" || fail "$words"
}

# equal WORDS GOT WANTED
equal() { [[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"; }

# Workers print side by side: what belongs together goes out in one piece.
report() { flock "$LAB_OUT" printf '%s\n' "$1"; }

report_ok() { # NAME SECONDS
	LAB_PASSED=$((LAB_PASSED + 1))
	report "ok $1 ($2)"
}
report_fail() { # NAME WHY [LINES]
	LAB_FAILED=$((LAB_FAILED + 1))
	report "FAIL $1: $2${3:+$'\n'$3}"
}
report_skip() { # NAME WHY
	LAB_SKIPPED=$((LAB_SKIPPED + 1))
	report "skip $1: $2"
}

# Trouble in the logs since the scenario's start, first line; empty when there is none.
scenario_trouble() { # EXPECTED-PATTERN
	local file name from
	for file in "$LAB_RUN"/*.log; do
		name=${file##*/}
		name=${name%.log}
		[[ $name != trace && $name != qemu ]] || continue
		from=0
		[[ ! -e $LAB_RUN/state/mark.$name ]] || from=$(<"$LAB_RUN/state/mark.$name")
		tail -c "+$((from + 1))" "$file" | grep -aE -- "$LAB_TROUBLE" | grep -avE -- "${1:-^\$}" | head -n 1 |
			sed "s/^/$name: /"
	done | head -n 1
}

# The ERR trap: where it was, once (a failure inside $(…) comes by twice).
scenario_error() { # LINE COMMAND
	[[ ! -e $LAB_RUN/state/located ]] || return 0
	: >"$LAB_RUN/state/located"
	problem "$(cat "$LAB_RUN/state/problem" 2>/dev/null) [line $1: ${2%%$'\n'*}]"
}

# scenario_run NAME FILE: in the machine that runs; SCENARIO_GOOD is not empty when it passed. Its
# output: NAME.out.
# shellcheck disable=SC2034
scenario_run() {
	local name=$1 file=$2 start=$SECONDS why trouble status
	SCENARIO_GOOD= # for run
	log_mark
	rm -f "$LAB_RUN"/state/{problem,hang,located}
	trace "==== scenario $name"
	(
		set -euE -o pipefail
		trap 'scenario_error "$LINENO" "$BASH_COMMAND"' ERR
		# shellcheck disable=SC1090
		. "$file"
		scenario
		settle
	) >"$LAB_RUN/$name.out" 2>&1 &
	SCENARIO_PID=$!
	wait "$SCENARIO_PID"
	status=$?
	SCENARIO_PID=
	trouble=$(scenario_trouble "$(scenario_field "$file" expects)")
	if [[ $status == 0 && ! $trouble ]]; then
		report_ok "$name@$BOOT" $((SECONDS - start))
		SCENARIO_GOOD=yes
		return
	fi
	why=$(cat "$LAB_RUN/state/problem" 2>/dev/null)
	[[ $status != 0 ]] || why="a log tells of trouble: $trouble"
	report_fail "$name@$BOOT" "${why:-status $status}" "$({
		if [[ -e $LAB_RUN/state/hang ]]; then
			tail -n 120 "$LAB_RUN/$name.out" # its end is the last lines of every domain
		else
			tail -n 40 "$LAB_RUN/$name.out"
			log_ends 6
		fi
		echo "logs: $LAB_RUN"
	} | sed 's/^/    /')"
}
