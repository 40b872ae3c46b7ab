#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A read-only device can be read and says that it is read-only; a write is refused and changes nothing.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
cp "$E2E_DIR/disk" "$E2E_DIR/before"
head -c 65536 /dev/zero >"$E2E_DIR/piece"
new_guest g
attach "$g" "$E2E_DIR/disk" --read-only
guest "$g" info >"$E2E_DIR/info" || fail "no information"
grep -q '"read_only": true' "$E2E_DIR/info" || fail "the device does not say that it is read-only"
expect 1 guest "$g" write "$E2E_DIR/piece" --flush
grep -q 'refused' "$E2E_DIR/guest$g.log" || fail "the write failed, but not because it was refused"
same "$E2E_DIR/disk" "$E2E_DIR/before" "the image was written"
guest "$g" read-all --out "$E2E_DIR/copy" || fail "reading failed"
same "$E2E_DIR/disk" "$E2E_DIR/copy" "it reads something else"
detach "$g" xvda

e2e_end
