#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest that stops answering, at every stage: it can be unplugged and destroyed, and its neighbour
# goes on meanwhile.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
busy_guest='' g='' hung='' neighbour=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
random_image "$E2E_DIR/other" 8
new_guest neighbour
attach "$neighbour" "$E2E_DIR/other"
guest_bg busy_guest "$neighbour" bench --seconds 3600 --depth 4
await_busy "$neighbour"

stages=$(in_domain "$neighbour" "$BUILD/tests/guest/vgguest" hang list) || fail "no list of stages"
for stage in $stages; do
	for end in detach destroy; do
		new_guest g
		attach "$g" "$E2E_DIR/disk"
		guest_bg hung "$g" hang "$stage" --depth 8
		until_true "$LIMIT" grep -q hanging "$E2E_DIR/hung.out" || fail "no hang at $stage"
		before=$(stat_of "$neighbour" xvda requests)
		# A guest that does not answer must not keep its device.
		[ $end = destroy ] || detach "$g" xvda
		await_busy "$neighbour" xvda "$before"
		destroy_guest "$g"
		kill -KILL "$hung" 2>/dev/null
		reap "$hung"
	done
done
gone "$busy_guest" && fail "the neighbour's I/O ended"
kill -TERM "$busy_guest"
reap "$busy_guest" || fail "the neighbour ended with status $?"
detach "$neighbour" xvda

e2e_end
