#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd-hostile does what each of its modes says and serves I/O correctly beside that; the user-space
# driver sees it, ends in order, and is served again by an honest vgrantd.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
SECRET=Xylophone-4711-must-not-leave
new_guest g 128
attach "$g" "$E2E_DIR/disk"

# serve [MODES]: a hostile vgrantd, or without an argument an honest one.
serve() {
	stop_vgrantd
	# Not unused: start_vgrantd's.
	# shellcheck disable=SC2034
	case $# in
	0) VGRANTD_PROGRAM=backend/vgrantd/vgrantd ;;
	*) VGRANTD_PROGRAM=tests/hostile/vgrantd-hostile ;;
	esac
	VGRANT_HOSTILE=${1-} start_vgrantd
}

# up COMMAND…: a guest that has done its work and stays connected.
up() {
	mkfifo "$E2E_DIR/user.in"
	guest_bg user "$g" "$@" --hold
	exec 9>"$E2E_DIR/user.in"
	until_true "$LIMIT" holding_or_gone || fail "$MODE: the guest does not get done"
	grep -q holding "$E2E_DIR/user.out" || fail "$MODE: the guest has ended: $(tail -n 1 "$E2E_DIR/guest$g.log")"
}

holding_or_gone() { grep -q holding "$E2E_DIR/user.out" || gone "${user:?}"; }

# down STATUS: it ends by itself, with this status.
down() {
	local status
	exec 9>&-
	rm -f "$E2E_DIR/user.in"
	reap "$user"
	status=$?
	[ $status -eq "$1" ] || fail "$MODE: the guest ended with status $status instead of $1"
}

# more_than NAME N: a figure of the hostile backend.
more_than() {
	local n
	n=$(stat_of "$g" xvda "$1")
	[ -n "$n" ] && [ "$n" -gt "$2" ]
}

await_figure() { until_true "$LIMIT" more_than "$@" || fail "$MODE: $1 does not get past $2 ($(stat_of "$g" xvda "$1"))"; }

deferred() { [ "$(field "$g" deferred)" -gt 0 ]; }
none_deferred() { [ "$(field "$g" deferred)" = 0 ]; }

# says TEXT: in what the guest printed on its standard error.
says() { grep -q "$1" "$E2E_DIR/guest$g.log" || fail "$MODE: the guest does not say '$1': $(tail -n 2 "$E2E_DIR/guest$g.log")"; }

# what the guest says belongs to one mode
mode() {
	MODE=$1
	: >"$E2E_DIR/guest$g.log"
	serve "${2-$1}"
}

# ---- the command line ----

MODE=usage
for words in '' nonsense dump=abc dump=@/nonexistent busy=no stale=1 every=0 every=x prod-back=up; do
	VGRANT_HOSTILE=$words "$BUILD/tests/hostile/vgrantd-hostile" --version >/dev/null 2>"$E2E_DIR/usage.log"
	status=$?
	[ $status -eq 2 ] || fail "VGRANT_HOSTILE='$words' gives status $status"
	grep -q 'dump=TEXT' "$E2E_DIR/usage.log" || fail "VGRANT_HOSTILE='$words' is refused without words"
done
rm "$E2E_DIR/usage.log"

# ---- dump: what is granted is seen, in whatever way it is reached; what is not, is not ----

mode dump "dump=$SECRET,every=20"
for way in bounce region; do
	up verify --mode $way --size 4096 --depth 8 --secret "$SECRET"
	await_figure hostile-scans 2
	[ "$(stat_of "$g" xvda hostile-found)" -eq 0 ] || fail "dump: found in mode $way, where it was not granted"
	down 0
done
# The pages of the pool hold the secret's beginning when the guest writes it: those bytes are the device's.
up bench --mode bounce --size 512 --requests 100 --secret "$SECRET"
await_figure hostile-scans 2
[ "$(stat_of "$g" xvda hostile-found)" -eq 0 ] || fail "dump: a bounced buffer's neighbours are seen"
down 0
for way in grant hybrid region; do
	serve "dump=$SECRET,every=20,sweep=0"
	up bench --mode $way --size 512 --requests 100 --depth 4 --secret "$SECRET"
	await_figure hostile-found 3
	await_figure hostile-pages 3
	down 0
done
# Not copied, not mapped for long, not declared: only trying all references finds it.
mode sweep "dump=$SECRET,every=20"
up info --mode grant --size 512 --depth 4 --secret "$SECRET"
await_figure hostile-pages 3
down 0
printf '%s' "$SECRET" >"$E2E_DIR/secret"
mode dump-file "dump=@$E2E_DIR/secret,every=20,sweep=0"
up bench --mode grant --size 512 --requests 100 --secret "$SECRET"
await_figure hostile-found 0
down 0
grep -q 'hostile: found in a page' "$E2E_DIR/vgrantd.log" || fail "dump: the log does not tell"

# ---- late writes ----

mode stale stale,every=20
up verify --mode fresh --size 131072 --depth 2
await_figure hostile-stale 10
await_figure hostile-kept 10
deferred || fail "stale: no page of the guest is held past its request"
down 0
until_true "$LIMIT" none_deferred || fail "stale: pages are held though the worker is gone"

mode stale-copy stale-copy,every=5
up bench --mode fresh --size 4096 --depth 4 --requests 500 --op read
await_figure hostile-stale 0
await_figure hostile-refused 0
down 0

mode stale-pool stale-pool,every=5
up bench --mode bounce --size 4096 --depth 4 --requests 500 --op read
await_figure hostile-stale 10
down 0

mode keep-region keep-region,every=20
up verify --mode bounce --size 4096 --depth 4
exec 9>&-
reap "$user" || fail "keep-region: the guest ended with status $?"
rm "$E2E_DIR/user.in"
grep -q 'hostile: .* kept=[1-9]' "$E2E_DIR/vgrantd.log" || until_true "$LIMIT" \
	grep -q 'hostile: .* kept=[1-9]' "$E2E_DIR/vgrantd.log" || fail "keep-region: nothing was kept"
until_true "$LIMIT" none_deferred || fail "keep-region: pages are held though the worker is gone"

# What it keeps is seen while the worker lives on.
mode linger keep-region,every=20,linger=3000
guest "$g" verify --mode bounce --size 4096 --depth 4 || fail "linger: the guest ended with status $?"
deferred || fail "linger: no page of the guest is kept"
until_true "$LIMIT" none_deferred || fail "linger: pages are held though the worker is gone"

# ---- answers ----

mode busy busy=region
# (The guest asks again until its time is over. On a busy machine one answer alone can take a second.)
guest "$g" verify --mode bounce --timeout 6000
status=$?
[ $status -eq 1 ] || fail "busy: the guest ended with status $status instead of 1"
says 'REGION_REMOVE of .*: busy'

mode busy-reset busy=reset
guest "$g" verify --mode grant --timeout 1500
status=$?
[ $status -eq 4 ] || [ $status -eq 1 ] || fail "busy-reset: the guest ended with status $status"
says 'did not'

mode mute mute
guest "$g" verify --mode bounce --timeout 1500
status=$?
[ $status -eq 4 ] || fail "mute: the guest ended with status $status instead of 4 (time-out)"
says 'did not answer'

mode mute-probe mute=probe
guest "$g" verify --mode bounce --timeout 1500
status=$?
[ $status -eq 4 ] || fail "mute=probe: the guest ended with status $status instead of 4 (time-out)"

mode mute-io mute=io
guest "$g" verify --mode bounce --timeout 1500
status=$?
[ $status -eq 4 ] || fail "mute=io: the guest ended with status $status instead of 4 (time-out)"
says 'no request was completed'
# A worker that will never be done is not waited for.
read -ra pids <<<"$(workers)"
kill -KILL "${pids[@]}"

# ---- rings ----

mode next next
for how in '' --no-indirect; do
	# shellcheck disable=SC2086 # one option or none
	up verify --mode bounce --size 4096 --depth 8 --segments 4 $how
	await_figure hostile-next 100
	down 0
done

mode wild-len wild-used=len
up verify --mode bounce --size 4096 --depth 8
await_figure hostile-wild 10
down 0

mode wild-used wild-used,after=100
guest "$g" verify --mode bounce --size 4096 --depth 8
status=$?
[ $status -eq 1 ] || fail "wild-used: the guest ended with status $status instead of 1"
says 'completed a request that is not in flight'

for way in back forward cons-forward cons-back; do
	mode "prod-back=$way" "prod-back=$way,delay=200"
	guest "$g" bench --mode bounce --seconds 30
	status=$?
	[ $status -eq 1 ] || fail "$MODE: the guest ended with status $status instead of 1"
	says "device's ind"
done

# ---- and all of that leaves nothing behind ----

MODE=honest
serve
guest "$g" read-all --out "$E2E_DIR/copy" --mode bounce || fail "the guest is not served by an honest vgrantd"
detach "$g" xvda
e2e_end
