#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The backend side tries what it must not: pages never granted, pages whose grant has ended, writing
# to what was granted read-only. All of it is refused, and what was granted can be read.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' keeper=''
e2e_begin "$@"

new_guest g
random_image "$E2E_DIR/disk" 8
attach "$g" "$E2E_DIR/disk"
mkfifo "$E2E_DIR/keeper.in"
guest_bg keeper "$g" forbidden
exec 9>"$E2E_DIR/keeper.in"
until_true "$LIMIT" grep -q '^ready' "$E2E_DIR/keeper.out" || fail "the guest grants nothing"
ref() { sed -n "s/^$1 //p" "$E2E_DIR/keeper.out"; }
try() { in_domain 1 "$BUILD/tests/guest/vgforbidden" --domid "$g" "$@" >>"$E2E_DIR/forbidden.log" 2>&1; }

try --granted "$(ref temporary)" --granted "$(ref read-only)" || fail "what was granted cannot be read"
# The program does see it when something succeeds.
expect 1 try --never "$(ref temporary)"
echo end >&9
until_true "$LIMIT" grep -q '^ended' "$E2E_DIR/keeper.out" || fail "the grant does not end"
try --granted "$(ref read-only)" --never "$(ref never)" --ended "$(ref temporary)" \
	--read-only "$(ref read-only)" || fail "something forbidden was not refused"
grep -q '^10 attempts, 10 refused' "$E2E_DIR/forbidden.log" || fail "not every attempt was made"
echo check >&9
until_true "$LIMIT" grep -q '^intact' "$E2E_DIR/keeper.out" || fail "the read-only page was changed"
exec 9>&-
reap "$keeper" || fail "the guest ended with status $?"
detach "$g" xvda

e2e_end
