#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two devices of one guest: one worker serves both, neither sees the bytes of the other, one can go
# while the other works.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/first" 8
random_image "$E2E_DIR/second" 8
new_guest g
attach "$g" "$E2E_DIR/first" --vdev xvda
attach "$g" "$E2E_DIR/second" --vdev xvdb
guest_bg user "$g" bench --seconds 3600 --devid 51712 --depth 8
await_busy "$g" xvda
guest "$g" read-all --devid 51728 --out "$E2E_DIR/copy" || fail "the second device is not served"
same "$E2E_DIR/second" "$E2E_DIR/copy" "the second device reads something else"
[ "$(workers | wc -w)" = 1 ] || fail "there are $(workers | wc -w) workers for one guest"
detach "$g" xvdb
before=$(stat_of "$g" xvda requests)
await_busy "$g" xvda "$before"
kill -TERM "$user"
reap "$user" || fail "the first device's user ended with status $?"
guest "$g" read-all --devid 51712 --out "$E2E_DIR/copy" || fail "the first device is not served"
same "$E2E_DIR/first" "$E2E_DIR/copy" "the first device reads something else"
detach "$g" xvda

# ---- memory ----

# Anonymous memory of the only worker, in KiB.
anonymous() { sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(workers | tr -d ' ')/status"; }

# The second device is connected all the time, so the worker stays; the first one comes and goes. The
# tables of a connection, of which little is ever touched, must not be more with each.
attach "$g" "$E2E_DIR/first" --vdev xvda
attach "$g" "$E2E_DIR/second" --vdev xvdb
mkfifo "$E2E_DIR/user.in"
guest_bg user "$g" read-all --devid 51728 --out "$E2E_DIR/copy" --hold
exec 9>"$E2E_DIR/user.in"
until_true "$LIMIT" grep -q holding "$E2E_DIR/user.out" || fail "reading the second device does not end"
worker=$(workers)
before=
for _ in 1 2 3 4 5; do
	guest "$g" read-all --devid 51712 --out "$E2E_DIR/copy" || fail "the first device is not served again"
	before=${before:-$(anonymous)}
done
[ "$(workers)" = "$worker" ] || fail "the worker $worker does not stay: $(workers)"
after=$(anonymous)
if grep -qE '__(a|t)san_init' "$BUILD/backend/vgrantd/vgrantd"; then
	echo "   what a connection leaves cannot be seen: a sanitizer keeps what was freed"
else
	[ $((after - before)) -le 256 ] || fail "four more connections have cost $((after - before)) KiB: $before KiB, then $after"
	echo "   memory: $before KiB after the first connection, $after after four more"
fi
exec 9>&-
rm "$E2E_DIR/user.in"
reap "$user" || fail "the second device's user ended with status $?"
detach "$g" xvda
detach "$g" xvdb

e2e_end
