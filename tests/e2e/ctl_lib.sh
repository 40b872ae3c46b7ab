# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # variables are the cases'
#
# What test_ctl.sh, test_nodes.sh and test_refusals.sh share. Each runs many small cases on one simulated machine and
# prints "ok NAME" or "FAIL NAME: why" for each: domain 0 is the toolstack's, drv (1) runs vgrantd,
# guest (2), other (3), third (4) and fourth (5) are guests. Sourced with the build directory as $1.

set -u

BUILD=${1:?usage: $0 BUILD-DIRECTORY}
BUILD=$(cd "$BUILD" && pwd) || exit 2
SIM=$BUILD/sim/bin
CTL=$BUILD/backend/vgrantctl/vgrantctl
VGRANTD=$BUILD/backend/vgrantd/vgrantd
XS=$BUILD/tests/bin/xs
GUEST=$BUILD/tests/guest/vgguest
for program in "$SIM"/xensim "$SIM"/xensim-run "$SIM"/xensimctl "$CTL" "$VGRANTD" "$XS" "$GUEST"; do
	[ -x "$program" ] || { echo "FAIL setup: $program is not built"; exit 1; }
done

# What a sanitizer finds must not pass for an ordinary failure.
export ASAN_OPTIONS="exitcode=99:${ASAN_OPTIONS:-}" TSAN_OPTIONS="exitcode=98:${TSAN_OPTIONS:-}"

WORK=$(mktemp -d /tmp/vgctl.XXXXXX) || exit 1
DIR=$WORK/d
mkdir "$DIR"
WAIT=60 # seconds for what is bound to happen: the machine may be busy
FAILS=0
OUT=''
RC=0
SIMPID=''
DAEMON=''

# What was started here, ended by number. SIGTERM first: a daemon has something to do.
finish()
{
	local pid

	for pid in $DAEMON $SIMPID; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 1' INT TERM

ok() { echo "ok $1"; }
fail() { echo "FAIL $1: $2"; FAILS=$((FAILS + 1)); }

# in DOMAIN COMMAND...
in_domain() { local n=$1; shift; timeout 120 "$SIM/xensim-run" "$DIR" "$n" "$@"; }
xs() { local n=$1; shift; in_domain "$n" "$XS" "$@"; }

# run DOMAIN vgrantctl's words: OUT is what it says, RC its exit status
run() { local n=$1; shift; OUT=$(in_domain "$n" "$CTL" "$@" 2>&1); RC=$?; }

# check NAME STATUS REGEX: the last run
check()
{
	if [ "$RC" != "$2" ]; then
		fail "$1" "status $RC, not $2; said: $OUT"
	elif [[ ! $OUT =~ $3 ]]; then
		fail "$1" "does not say '$3' but: $OUT"
	else
		ok "$1"
	fi
}

# expect NAME STATUS REGEX DOMAIN vgrantctl's words
expect()
{
	local name=$1 status=$2 regex=$3

	shift 3
	run "$@"
	check "$name" "$status" "$regex"
}

back() { echo "/local/domain/${3:-1}/backend/virtio_disk/$1/$2"; }
front() { echo "/local/domain/$1/device/virtio_disk/$2"; }

# becomes NAME PATH VALUE
becomes()
{
	local said

	if said=$(xs 0 wait "$2" "$3" $WAIT 2>&1); then ok "$1"; else fail "$1" "$said"; fi
}

# holds NAME PATH VALUE: has it now
holds()
{
	local value

	value=$(xs 0 read "$2" 2>&1)
	if [ "$value" = "$3" ]; then ok "$1"; else fail "$1" "$2 is '$value', not '$3'"; fi
}

# absent NAME PATH...
absent()
{
	local name=$1 path

	shift
	for path in "$@"; do
		if xs 0 read "$path" >/dev/null 2>&1; then
			fail "$name" "$path is still there"
			return
		fi
	done
	ok "$name"
}

# says NAME FILE REGEX: waits until a line of the log matches
says()
{
	local i

	for ((i = 0; i < WAIT * 10; i++)); do
		if grep -qE -- "$3" "$2" 2>/dev/null; then
			ok "$1"
			return
		fi
		sleep 0.1
	done
	fail "$1" "no line like '$3' in: $(tail -5 "$2")"
}

# A daemon of domain 1; its log is $WORK/vgrantd.log
start_vgrantd()
{
	"$SIM/xensim-run" "$DIR" 1 "$VGRANTD" --verbose "$@" 2>"$WORK/vgrantd.log" &
	DAEMON=$!
	says "vgrantd-starts" "$WORK/vgrantd.log" 'vgrantd: serving'
}

# stop_vgrantd NAME
stop_vgrantd()
{
	local status

	kill -TERM "$DAEMON"
	wait "$DAEMON"
	status=$?
	DAEMON=''
	if [ $status != 0 ]; then
		fail "$1" "exit status $status: $(tail -3 "$WORK/vgrantd.log")"
	elif grep -E 'Sanitizer|runtime error' "$WORK/vgrantd.log" >&2; then
		fail "$1" "a sanitizer found something"
	else
		ok "$1"
	fi
}

worker_pid() { sed -n "s/.*dom$1: worker \([0-9]*\) started.*/\1/p" "$WORK/vgrantd.log" | tail -1; }

# ---- guests that use their devices ----

# use DOMAIN DEVID: a guest's driver that is busy until it is ended; its process id is USER
use()
{
	"$SIM/xensim-run" "$DIR" "$1" "$GUEST" bench --devid "$2" --seconds 600 >"$WORK/guest$1.log" 2>&1 &
	USER=$!
	becomes "dom$1-connects" "$(back "$1" "$2")/state" 4
	becomes "dom$1-uses" "$(front "$1" "$2")/state" 4
}

# figures NAME REGEX vgrantctl's words: asks until the figures are so
figures()
{
	local name=$1 regex=$2 i

	shift 2
	for ((i = 0; i < WAIT * 2; i++)); do
		run 0 stats "$@"
		[[ $OUT =~ $regex ]] && break
		sleep 0.5
	done
	check "$name" 0 "$regex"
}

# ended PID: a guest's program that has to end by itself
ended()
{
	local i

	for ((i = 0; i < WAIT * 10; i++)); do
		kill -0 "$2" 2>/dev/null || { wait "$2" 2>/dev/null; ok "$1"; return; }
		sleep 0.1
	done
	fail "$1" "process $2 still runs"
	kill "$2"
	wait "$2" 2>/dev/null
}

# ---- the machine ----

truncate -s 8M "$WORK/a.img" "$WORK/b.img" "$WORK/c.img" "$WORK/d.img"
"$SIM/xensim" --dir "$DIR" --domain 1,name=drv --domain 2,name=guest --domain 3,name=other \
	--domain 4,name=third --domain 5,name=fourth >"$WORK/sim.log" 2>&1 &
SIMPID=$!
says simulator "$WORK/sim.log" ready

# The exit status of all cases.
conclude()
{
	[ $FAILS = 0 ] && exit 0
	echo "$FAILS cases failed"
	exit 1
}
