#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A worker is killed in the middle of I/O: its guest is told and can open the device again, the other
# guest does not notice, vgrantd lives.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' n='' neighbour='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 16
random_image "$E2E_DIR/other" 8
new_guest g
attach "$g" "$E2E_DIR/disk"
guest_bg user "$g" bench --seconds 3600 --depth 32
await_busy "$g"
victim=$(workers | tr -d ' ')
new_guest n
attach "$n" "$E2E_DIR/other"
guest_bg neighbour "$n" bench --seconds 3600 --depth 4
await_busy "$n"

kill -KILL "$victim"
reap "$user"
status=$?
[ $status -eq 3 ] || fail "the guest ended with status $status, not 3 (closed)"
before=$(stat_of "$n" xvda requests)
await_busy "$n" xvda "$before"
guest "$g" read-all --out "$E2E_DIR/copy" || fail "the guest is not served again"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
kill -TERM "$neighbour"
reap "$neighbour" || fail "the neighbour ended with status $?"
detach "$g" xvda
detach "$n" xvda

e2e_end
