#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A worker that is to end may have pages mapped until it has ended: no new one takes its place in the
# quota before, neither for the same guest nor for another. Nobody is refused for that; he waits.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' n=''
e2e_begin "$@"

# Less than vgrantd gives a worker to end, and enough for a busy machine to tell the difference.
LINGER=8000
BLOCKED=5000 # ms: who is served before did not wait
FREE=7000    # who is served after did
new_guest g
new_guest n
ctl attach "$g" --backend 1 --engine null --size 1M >>"$E2E_DIR/ctl.log" 2>&1 || fail "attach failed"
ctl attach "$n" --backend 1 --engine null --size 1M >>"$E2E_DIR/ctl.log" 2>&1 || fail "attach failed"

now_ms() { date +%s%3N; }

offered() { [ "$(grep -c 'offered: ' "$E2E_DIR/vgrantd.log")" = 2 ]; }

# lingering PAGES: of all guests; each may have 4096. Workers live on with all mapped when they say they have ended.
lingering() {
	stop_vgrantd
	# Not unused: start_vgrantd's.
	# shellcheck disable=SC2034
	VGRANTD_PROGRAM=tests/hostile/vgrantd-hostile
	VGRANT_HOSTILE=linger=$LINGER start_vgrantd --max-pages 4096 --total-pages "$1"
}

# after DOMID LEAST MOST WHAT: how long it takes to be served.
after() {
	local begin took
	begin=$(now_ms)
	guest "$1" info --timeout 60000 >/dev/null || fail "$4: not served: $(tail -n 1 "$E2E_DIR/guest$1.log")"
	took=$(($(now_ms) - begin))
	[ $took -ge "$2" ] || fail "$4: served after $took ms, beside a worker that had pages mapped"
	[ $took -le "$3" ] || fail "$4: served after $took ms only"
}

lingering 65536
# Before that, a guest that was never connected finds the state that the earlier vgrantd left.
until_true "$LIMIT" offered || fail "the devices are not offered"
after "$g" 0 60000 'the first'
[ "$(field 1 maptrack)" -gt 0 ] || fail "the worker that lingers has let go"
after "$g" $BLOCKED 60000 'the same guest'
after "$n" 0 $FREE 'another guest, with room'

lingering 4096
after "$g" 0 60000 'the first'
after "$n" $BLOCKED 60000 'another guest, without room'

detach "$g" xvda
detach "$n" xvda
e2e_end
