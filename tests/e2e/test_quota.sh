#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest's quota: regions get all of it but a part, so that requests that are mapped are served by
# another device of the same guest. A region beyond is refused in words, at both ends.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user='' other=''
e2e_begin "$@" --max-pages 2048

random_image "$E2E_DIR/first" 4
random_image "$E2E_DIR/second" 12
new_guest g
attach "$g" "$E2E_DIR/first" --vdev xvda
attach "$g" "$E2E_DIR/second" --vdev xvdb

# Half of 2048 pages is what regions get: 4 requests of 1 MiB and their headers and rings are too much.
expect 1 guest "$g" read-all --devid 51712 --mode region --depth 4 --size 1048576 --out "$E2E_DIR/copy"
grep -q "past the guest's quota" "$E2E_DIR/guest$g.log" || fail "the driver was not told why its region was refused"
grep -q "of the guest's quota of 2048 pages .* 1024 are kept for requests" "$E2E_DIR/vgrantd.log" ||
	fail "vgrantd does not say why it refused a region"

# Three are not. Beside them requests of 4 MiB are mapped, which take all that is kept for them.
mkfifo "$E2E_DIR/user.in"
guest_bg user "$g" read-all --devid 51712 --mode region --depth 3 --size 1048576 --out "$E2E_DIR/copy" --hold
exec 9>"$E2E_DIR/user.in"
until_true "$LIMIT" grep -q holding "$E2E_DIR/user.out" || fail "regions within the quota are refused"
same "$E2E_DIR/first" "$E2E_DIR/copy" "what was read through regions is not the image"
regions=$(stat_of "$g" xvda worker-region-pages)
if [ "$regions" -lt 768 ] || [ "$regions" -gt 1024 ]; then fail "$regions pages are in regions"; fi
mkfifo "$E2E_DIR/other.in"
guest_bg other "$g" read-all --devid 51728 --mode grant --depth 1 --size 4128768 --out "$E2E_DIR/mapped" --hold
exec 8>"$E2E_DIR/other.in"
until_true "$LIMIT" grep -q holding "$E2E_DIR/other.out" || fail "requests that must be mapped are not served"
same "$E2E_DIR/second" "$E2E_DIR/mapped" "what was read through mappings is not the image"
[ "$(stat_of "$g" xvdb map-ops)" -ge 3 ] || fail "nothing was mapped for a request"

exec 8>&- 9>&-
reap "${user:?}" || fail "the first device's driver ended with status $?"
reap "${other:?}" || fail "the second device's driver ended with status $?"
detach "$g" xvda
detach "$g" xvdb
e2e_end
