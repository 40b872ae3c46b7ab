#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The driver is loaded and unloaded again and again, the last time with another driver.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
new_guest g
attach "$g" "$E2E_DIR/disk" --queues 4
guest "$g" reload --count 10 || fail "reloading failed"
guest "$g" reload --count 3 --queues 4 --own-ports --mode grant || fail "reloading with four queues failed"
guest "$g" read-all --out "$E2E_DIR/copy" || fail "not served after reloading"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
[ "$(field "$g" grants)" = 0 ] || fail "the guest still grants $(field "$g" grants) pages"
detach "$g" xvda

e2e_end
