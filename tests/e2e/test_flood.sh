#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest keeps one of its devices busy without end: its other device can be detached, the busy one too, and
# another guest is served.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' other='' flood='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/first" 8
random_image "$E2E_DIR/second" 8
random_image "$E2E_DIR/third" 8
new_guest g
new_guest other
attach "$g" "$E2E_DIR/first" --vdev xvda --queues 16
attach "$g" "$E2E_DIR/second" --vdev xvdb
attach "$other" "$E2E_DIR/third" --vdev xvda
guest_bg user "$g" bench --seconds 3600 --devid 51728 --depth 1
await_busy "$g" xvdb
guest_bg flood "$g" flood --seconds 3600 --devid 51712
await_busy "$g" xvda
guest "$other" read-all --out "$E2E_DIR/copy" || fail "another guest is not served"
same "$E2E_DIR/third" "$E2E_DIR/copy" "another guest reads something else"
# The worker of a detach that is not answered is killed, which the log says.
ctl detach "$g" xvdb --timeout 25 >>"$E2E_DIR/ctl.log" 2>&1 || fail "the other device cannot be detached"
reap "$user"
grep -q 'is killed' "$E2E_DIR/vgrantd.log" && fail "the worker did not answer"
before=$(stat_of "$g" xvda requests)
await_busy "$g" xvda "$before"
kill -TERM "$flood"
reap "$flood" || fail "the flood ended with status $?"
detach "$g" xvda
detach "$other" xvda

e2e_end
