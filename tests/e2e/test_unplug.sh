#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The device is unplugged in the middle of I/O: the guest is told, the directories go.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
for mode in region grant; do
	new_guest g
	attach "$g" "$E2E_DIR/disk"
	guest_bg user "$g" bench --seconds 3600 --depth 32 --mode $mode
	await_busy "$g"
	detach "$g" xvda
	reap "$user"
	status=$?
	[ $status -eq 3 ] || fail "mode $mode: the guest ended with status $status, not 3 (closed)"
	no_leaks "after unplugging in mode $mode"
	[ "$(field "$g" grants)" = 0 ] || fail "the guest still grants $(field "$g" grants) pages"
done

e2e_end
