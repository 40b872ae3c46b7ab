#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-bench --calibrate: the thresholds that it draws are those of the figures that it is given, in a form
# that vgrantd takes; and what it refuses.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1

# figures MAP-AND-UNMAP-NS COPY-NS MEMCPY-NS: a machine where that is what a page costs, however many there are.
figures()
{
	local batch name
	echo '{ "hypervisor": "Xen 4.99",'
	echo "{\"name\": \"memcpy, cached\", \"batch\": 65536, \"unit\": \"byte\", \"ns\": $(($3 * 16))},"
	for batch in 1 64 256; do
		for name in map unmap; do
			echo "{\"name\": \"grant $name\", \"batch\": $batch, \"unit\": \"page\", \"ns\": $(($1 * batch / 2 + ${4:-0}))},"
		done
		echo "{\"name\": \"grant copy, 4 KiB\", \"batch\": $batch, \"unit\": \"copy\", \"ns\": $(($2 * batch))},"
		echo "{\"name\": \"grant copy, 16 B\", \"batch\": $batch, \"unit\": \"copy\", \"ns\": $((100 * batch))},"
	done
	echo ']}'
}

# run OPTION…: its status is in $status.
run()
{
	status=0
	"$top/bench/vgrant-bench" --calibrate "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

# gives OPTIONS-OF-VGRANTD PARAMETERS-OF-GUESTS: what the last run has written to $dir/env.
gives()
{
	local VGRANTD_OPTIONS=
	[ $status -eq 0 ] || fail "it gives status $status"
	# shellcheck source=/dev/null
	. "$dir/env"
	[ "$VGRANTD_OPTIONS" = "$1" ] || fail "the fragment says '$VGRANTD_OPTIONS' and not '$1'"
	grep -q "^#   $2\$" "$dir/env" || fail "the fragment does not give guests: $2"
	# shellcheck disable=SC2086
	"$build/backend/vgrantd/vgrantd" $VGRANTD_OPTIONS --help >/dev/null 2>"$dir/err" || fail "vgrantd does not take '$VGRANTD_OPTIONS'"
}

# A map so dear that copying is cheaper everywhere: memory is the limit, 1 MiB the end.
figures 4000 1000 400 >"$dir/dear"
run --output "$dir/env" "$dir/dear"
gives "--copy-max 69632" "virtio_msg_xen.policy=bounce"
run --memory 1024 --output "$dir/env" "$dir/dear"
gives "--copy-max 1048576" "virtio_msg_xen.policy=bounce"
run --memory 8 --output "$dir/env" "$dir/dear"
gives "--copy-max 8192" "virtio_msg_xen.policy=bounce"
# A map that is all but free: never copy. And a memcpy that is dear: grant from one page on.
figures 2 1000 4000 >"$dir/free"
run --output "$dir/env" "$dir/free"
gives "--copy-max 0" "virtio_msg_xen.policy=hybrid virtio_msg_xen.threshold=4096"
# A call that costs 5 µs and a page that costs little: 4 calls a request, 20 µs, are 20 pages' copies. And granting, which
# costs 150 ns a page, 300 for header and status, and 20 µs, against 2 µs a page of memcpy: from the first page on; with 1100 ns a page, from 32 pages.
figures 100 1000 2000 5000 >"$dir/between"
run --output "$dir/env" "$dir/between"
gives "--copy-max 69632" "virtio_msg_xen.policy=hybrid virtio_msg_xen.threshold=4096"
run --memory 1024 --output "$dir/env" "$dir/between"
gives "--copy-max 69632" "virtio_msg_xen.policy=hybrid virtio_msg_xen.threshold=4096"
run --grant-ns 1100 --output "$dir/env" "$dir/between"
gives "--copy-max 69632" "virtio_msg_xen.policy=hybrid virtio_msg_xen.threshold=131072"

# What others have published gives the defaults that are shipped.
default=$("$build/backend/vgrantd/vgrantd" --help | sed -n 's/.*map what is larger (default \([0-9]*\).*/\1/p')
for name in qubes-2026 netback-staging; do
	run --published $name --output "$dir/env"
	gives "--copy-max $default" "virtio_msg_xen.policy=bounce"
done

# Figures of the simulated hypervisor are shown, and give no fragment.
sed 's/Xen 4.99/simulated/' "$dir/dear" >"$dir/simulated"
rm "$dir/env"
run "$dir/simulated"
[ $status -eq 0 ] || fail "figures of the simulated hypervisor cannot be looked at"
grep -q VGRANTD_OPTIONS "$dir/out" && fail "thresholds are drawn from the simulated hypervisor"
run --output "$dir/env" "$dir/simulated"
[ $status -eq 1 ] || fail "a fragment from the simulated hypervisor gives status $status"
[ ! -e "$dir/env" ] || fail "a fragment was written from the simulated hypervisor"

usage 2 "name the file"
usage 2 "--memory 0: not a number from 1" --memory 0 "$dir/dear"
usage 2 "--grant-ns 08x: not a number from 1" --grant-ns 08x "$dir/dear"
usage 2 "--published list names them" --published nobody
usage 2 "not both" --published qubes-2026 "$dir/dear"
usage 2 "is a second one" "$dir/dear" "$dir/free"
usage 2 "is not an option" --nonsense
usage 2 "needs a value" --output
usage 1 "cannot read" "$dir/none"
grep -v unmap "$dir/dear" >"$dir/part"
usage 1 "the operation 'grant unmap' is missing" "$dir/part"
sed 's/"ns": [0-9]*/"ns": 0/' "$dir/dear" >"$dir/zero"
usage 1 "no time" "$dir/zero"
echo hello >"$dir/nonsense"
usage 1 "does not say on which hypervisor" "$dir/nonsense"
