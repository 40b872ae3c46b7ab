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

e2e_end
