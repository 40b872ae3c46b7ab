# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# End-to-end cases on the simulated hypervisor. A case sources this file, then:
#
#   e2e_begin "$@"      $1 is the build directory; xensim and vgrantd run after it
#   …                   what the case does, with the functions below; fail WHY ends it
#   e2e_end             all guests are destroyed, nothing may be left, both daemons must end well
#
# It prints one line: "ok NAME" or "FAIL NAME: why". Domain 0 is the toolstack, 1 the driver domain.
# Every wait is bounded by E2E_LIMIT seconds (default 120: sanitizers and busy machines are slow).

set -u
LIMIT=${E2E_LIMIT:-120}
NAME=$(basename "$0" .sh)
NAME=${NAME#test_}
E2E_DIR=
SIM_PID=
VGRANTD=
VGRANTD_PROGRAM=backend/vgrantd/vgrantd # in the build directory
DRIVER_DOMAIN=${DRIVER_DOMAIN-} # more about domain 1: ",priv"
BASE_FDS=
BASE_HANDLES=
BASE_WATCHES=
GUESTS=()   # domains made and not yet destroyed
PIDS=()     # started in the background by this case

# What sanitizers find must not be mistaken for an ordinary failure.
export ASAN_OPTIONS="exitcode=99:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="exitcode=98:${TSAN_OPTIONS:-}"

fail() {
	echo "FAIL $NAME: $*"
	for log in "$E2E_DIR"/*.log; do
		[ -s "$log" ] || continue
		echo "--- ${log##*/}"
		tail -n 25 "$log"
	done >&2
	exit 1
}

# until_true SECONDS COMMAND…: asks again until it succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# reap PID: its exit status once it has ended; 124 when it does not.
reap() {
	until_true "$LIMIT" gone "$1" || return 124
	wait "$1" 2>/dev/null
}

stop_all() {
	local pid
	for pid in ${PIDS[@]+"${PIDS[@]}"} $VGRANTD $SIM_PID; do
		kill -KILL "$pid" 2>/dev/null
	done
	for pid in ${PIDS[@]+"${PIDS[@]}"} $VGRANTD $SIM_PID; do
		wait "$pid" 2>/dev/null
	done
	[ -z "$E2E_DIR" ] || rm -rf "$E2E_DIR"
}

# ---- the machine ----

sim() { timeout "$LIMIT" "$BUILD/sim/bin/xensimctl" "$E2E_DIR/sim" "$@"; }

# in_domain DOMID COMMAND…
in_domain() { timeout -k 5 "$LIMIT" "$BUILD/sim/bin/xensim-run" "$E2E_DIR/sim" "$@"; }

ctl() { in_domain 0 "$BUILD/backend/vgrantctl/vgrantctl" "$@"; }

xs() { in_domain 0 "$BUILD/tests/bin/xs" "$@"; }

# field DOMID KEY: a number of `xensimctl dump`; nothing when there is no such domain.
field() { sim dump | sed -n "s/^domain=$1 .* $2=\([0-9]*\).*/\1/p"; }

fds() { find "/proc/$VGRANTD/fd" -mindepth 1 2>/dev/null | wc -l; }

workers() { cat "/proc/$VGRANTD/task/$VGRANTD/children" 2>/dev/null; }

serving() { grep -q '^vgrantd: serving' "$E2E_DIR/vgrantd.log"; }

# start_vgrantd [OPTION…]
start_vgrantd() {
	: >"$E2E_DIR/vgrantd.log"
	"$BUILD/sim/bin/xensim-run" "$E2E_DIR/sim" 1 "$BUILD/$VGRANTD_PROGRAM" --verbose \
		--state-dir "$E2E_DIR/state" "$@" \
		2>"$E2E_DIR/vgrantd.log" &
	VGRANTD=$!
	until_true "$LIMIT" serving || fail "vgrantd does not start"
	# Of one that serves nothing yet: a later one finds devices.
	[ -z "$BASE_FDS" ] || return 0
	BASE_FDS=$(fds)
	BASE_HANDLES=$(field 1 handles)
	BASE_WATCHES=$(field 1 watches)
}

# stop_vgrantd: SIGTERM, and all of it must be gone.
stop_vgrantd() {
	local status left
	kill -TERM "$VGRANTD"
	reap "$VGRANTD"
	status=$?
	VGRANTD=
	[ $status -eq 0 ] || fail "vgrantd ended with status $status after SIGTERM"
	until_true "$LIMIT" driver_domain_empty || {
		left=$(sim dump | grep '^domain=1 ')
		fail "vgrantd left something behind: $left"
	}
}

driver_domain_empty() {
	local key
	for key in maptrack ports handles watches transactions; do
		[ "$(field 1 $key)" = 0 ] || return 1
	done
}

# new_guest VARIABLE [MiB [FIELD…]]
new_guest() {
	local -n made=$1
	made=$(sim create "mem=${2:-64}" "${@:3}") || fail "cannot create a domain"
	GUESTS+=("$made")
}

destroy_guest() {
	local g left=()
	sim destroy "$1" || fail "cannot destroy domain $1"
	for g in ${GUESTS[@]+"${GUESTS[@]}"}; do
		[ "$g" = "$1" ] || left+=("$g")
	done
	GUESTS=(${left[@]+"${left[@]}"})
}

# attach DOMID IMAGE [OPTION…]
attach() {
	local domid=$1 image=$2
	shift 2
	ctl attach "$domid" --image "$image" --backend 1 "$@" >>"$E2E_DIR/ctl.log" 2>&1 ||
		fail "vgrantctl attach of $image to domain $domid failed: $(tail -n 1 "$E2E_DIR/ctl.log")"
}

detach() {
	ctl detach "$@" >>"$E2E_DIR/ctl.log" 2>&1 ||
		fail "vgrantctl detach $* failed: $(tail -n 1 "$E2E_DIR/ctl.log")"
}

# stat DOMID VDEV NAME: one figure of vgrantctl stats.
stat_of() {
	ctl stats "$1" "$2" --json 2>>"$E2E_DIR/ctl.log" |
		sed -n "s/.*\"$3\": *\([0-9]*\).*/\1/p" | head -n 1
}

# guest DOMID COMMAND…: vgguest in that domain, to its end.
guest() {
	local domid=$1
	shift
	in_domain "$domid" "$BUILD/tests/guest/vgguest" "$@" 2>>"$E2E_DIR/guest$domid.log"
}

# guest_bg VARIABLE DOMID COMMAND…: the same in the background; VARIABLE gets its pid. Its output is
# $E2E_DIR/VARIABLE.out; its standard input is the pipe $E2E_DIR/VARIABLE.in, if there is one.
guest_bg() {
	local -n started=$1
	local out=$E2E_DIR/$1.out input=/dev/null domid=$2
	[ ! -p "$E2E_DIR/$1.in" ] || input=$E2E_DIR/$1.in
	shift 2
	: >"$out" # now: the caller must not see what an earlier one wrote
	"$BUILD/sim/bin/xensim-run" "$E2E_DIR/sim" "$domid" "$BUILD/tests/guest/vgguest" "$@" \
		<"$input" >"$out" 2>>"$E2E_DIR/guest$domid.log" &
	# Not unused: a reference to the caller's variable.
	# shellcheck disable=SC2034
	started=$!
	PIDS+=("$!")
}

# Guests that do I/O: bytes have moved.
busy() {
	local n
	n=$(stat_of "$1" "${2:-xvda}" requests)
	[ -n "$n" ] && [ "$n" -gt "${3:-0}" ]
}

await_busy() {
	until_true "$LIMIT" busy "$@" || fail "domain $1 does no I/O"
}

# expect STATUS COMMAND…
expect() {
	local want=$1 status
	shift
	"$@"
	status=$?
	[ $status -eq "$want" ] || fail "'$*' ended with status $status instead of $want"
}

random_image() {
	head -c "$(($2 << 20))" /dev/urandom >"$1" || fail "cannot make $1"
}

same() {
	cmp -s "$1" "$2" || fail "$3"
}

# ---- begin and end ----

e2e_begin() {
	local tmp=${TMPDIR:-/tmp}
	BUILD=${1:?the build directory is missing}
	shift
	[ ${#tmp} -le 60 ] || tmp=/tmp # sockets have short names
	E2E_DIR=$(mktemp -d "$tmp/vge.XXXXXX") || exit 1
	trap stop_all EXIT
	trap 'fail interrupted' INT TERM
	"$BUILD/sim/bin/xensim" --dir "$E2E_DIR/sim" --domain "1,name=driver$DRIVER_DOMAIN" \
		>"$E2E_DIR/xensim.log" 2>&1 &
	SIM_PID=$!
	until_true "$LIMIT" grep -qs '^xensim: ready' "$E2E_DIR/xensim.log" ||
		fail "xensim does not start"
	start_vgrantd "$@"
}

# A parent that the toolstack made is the toolstack's to remove: libxl does, xensimctl has no such part.
no_backend_directory() {
	local kind guest
	for kind in virtio_disk virtio; do
		for guest in $(xs ls "/local/domain/1/backend/$kind" 2>/dev/null); do
			[ -z "$(xs ls "/local/domain/1/backend/$kind/$guest" 2>/dev/null)" ] || return 1
		done
	done
}

# Prints what is left over of guests in the driver domain; nothing when all is clean.
leftovers() {
	local g key
	for key in maptrack ports transactions; do
		[ "$(field 1 $key)" = 0 ] || echo "$key=$(field 1 $key)"
	done
	[ "$(field 1 handles)" = "$BASE_HANDLES" ] || echo "handles=$(field 1 handles)"
	[ "$(field 1 watches)" = "$BASE_WATCHES" ] || echo "watches=$(field 1 watches)"
	[ "$(fds)" = "$BASE_FDS" ] || echo "file descriptors of vgrantd: $(fds), before $BASE_FDS"
	[ -z "$(workers)" ] || echo "workers: $(workers)"
	no_backend_directory || echo "a backend directory"
	for g in ${GUESTS[@]+"${GUESTS[@]}"}; do
		[ "$(field "$g" in_use)" = 0 ] || echo "pages of domain $g in use: $(field "$g" in_use)"
		[ "$(field "$g" deferred)" = 0 ] || echo "pages of domain $g not let go"
	done
	if sim list | grep -q zombie; then
		echo "a zombie domain"
	fi
}

clean() { [ -z "$(leftovers)" ]; }

# no_leaks WHEN: bounded, since letting go takes the time it takes.
no_leaks() {
	until_true "$LIMIT" clean || fail "left over $1: $(leftovers | tr '\n' ' ')"
}

no_findings() {
	! grep -lE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' \
		"$E2E_DIR"/*.log >"$E2E_DIR/findings"
}

e2e_end() {
	local g
	for g in ${GUESTS[@]+"${GUESTS[@]}"}; do
		destroy_guest "$g"
	done
	if [ -n "$VGRANTD" ]; then
		gone "$VGRANTD" && fail "vgrantd has ended"
		no_leaks 'at the end'
		stop_vgrantd
	fi
	kill -TERM "$SIM_PID"
	reap "$SIM_PID" || fail "xensim ended with status $?"
	SIM_PID=
	no_findings || fail "a sanitizer found something: $(cat "$E2E_DIR/findings")"
	echo "ok $NAME"
}
