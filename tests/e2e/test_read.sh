#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The whole image is read, byte for byte, in every way in which the backend reaches guest memory; and
# each way is the one that its name says.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' reader=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 16
want=$(sha256sum <"$E2E_DIR/disk")
new_guest g
attach "$g" "$E2E_DIR/disk" --queues 4

# way WHAT OPTION…: reads all with these options, then looks at the operations that it took.
way() {
	local what=$1 got maps copies
	shift
	mkfifo "$E2E_DIR/reader.in"
	guest_bg reader "$g" read-all --out "$E2E_DIR/copy" --hold "$@"
	exec 9>"$E2E_DIR/reader.in"
	until_true "$LIMIT" grep -q holding "$E2E_DIR/reader.out" || fail "$what: reading does not end"
	maps=$(stat_of "$g" xvda map-ops)
	copies=$(stat_of "$g" xvda copy-ops)
	exec 9>&-
	rm "$E2E_DIR/reader.in"
	reap "${reader:?}" || fail "$what: the guest ended with status $?"
	got=$(sha256sum <"$E2E_DIR/copy")
	[ "$got" = "$want" ] || fail "$what: what was read is not the image"
	case $what in
	region*) [ "$copies" -eq 0 ] && [ "$maps" -le 64 ] ;;
	copy*) [ "$copies" -gt 100 ] && [ "$maps" -le 16 ] ;;
	map*) [ "$maps" -gt 50 ] ;;
	esac || fail "$what: it took $maps map operations and $copies copies"
	rm "$E2E_DIR/copy"
}

way region --mode region --depth 8
way region-queues --mode region --depth 8 --queues 4 --own-ports --size 4096
way region-plain --mode region --depth 4 --no-event-idx --no-indirect --segments 5
way region-bounce --mode bounce --depth 8 --size 8192
way region-big-ring --mode region --queue-size 1024 --depth 64 --size 8192
# References that do not follow each other, as a running kernel gives them: a region a page.
export XENSIM_REFS=scatter
way region-scattered --mode region --depth 4 --size 16384
way copy-scattered --mode grant --depth 4 --size 8192
way map-scattered --mode grant --depth 2 --size 262144
unset XENSIM_REFS
way copy --mode grant --depth 8 --size 4096
way copy-hybrid --mode hybrid --depth 8 --size 4096
way map --mode grant --depth 4 --size 262144
way map-hybrid --mode hybrid --depth 4 --size 262144
way copy-fresh --mode fresh --depth 4 --size 4096
way map-fresh --mode fresh --depth 4 --size 262144

detach "$g" xvda
e2e_end
