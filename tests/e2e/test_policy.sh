#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd --copy-max: what is granted for one request is copied up to there and mapped above, and stays
# mapped no longer than its request; the memory of copies goes back when it is not used.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g='' user=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
new_guest g
attach "$g" "$E2E_DIR/disk"

# up OPTION…: a guest that has read the disk and stays connected.
up() {
	mkfifo "$E2E_DIR/user.in"
	guest_bg user "$g" read-all --out "$E2E_DIR/copy" --hold "$@"
	exec 9>"$E2E_DIR/user.in"
	until_true "$LIMIT" grep -q holding "$E2E_DIR/user.out" || fail "reading does not end: $*"
	same "$E2E_DIR/disk" "$E2E_DIR/copy" "what was read is not the image: $*"
}

down() {
	exec 9>&-
	rm "$E2E_DIR/user.in"
	reap "${user:?}" || fail "the guest ended with status $?"
}

# With everything granted for each request, header and status too, 64 KiB of data are copied by default: no
# grant is mapped but what stays, control page and rings.
default_copies() {
	local maps copies
	stop_vgrantd
	start_vgrantd
	up --mode grant --depth 2 --size 65536
	maps=$(stat_of "$g" xvda map-ops)
	copies=$(stat_of "$g" xvda copy-ops)
	[ "$maps" -le 8 ] || fail "by default requests of 64 KiB are mapped: $maps map operations"
	[ "$copies" -ge $((8388608 / 4096)) ] || fail "by default requests of 64 KiB make only $copies copies"
	down
}

# takes COPY-MAX copy|map SIZE: how requests of SIZE bytes of data, with a header of 16 and a status of
# one that lie in a region, are reached. Afterwards nothing but control page, rings and regions is mapped.
takes() {
	local max=$1 how=$2 size=$3 maps copies mapped pages
	stop_vgrantd
	start_vgrantd --copy-max "$max"
	up --mode hybrid --depth 2 --size "$size"
	maps=$(stat_of "$g" xvda map-ops)
	copies=$(stat_of "$g" xvda copy-ops)
	pages=$(stat_of "$g" xvda worker-pages-mapped)
	mapped=$(field 1 maptrack)
	[ "$mapped" -eq "$pages" ] || fail "--copy-max $max, $size bytes: $mapped pages mapped, vgrantd knows of $pages"
	# Control page, three of the rings, headers, indirect tables.
	[ "$mapped" -le 8 ] || fail "--copy-max $max, $size bytes: $mapped pages are mapped between requests"
	case $how in
	copy) [ "$copies" -ge $((8388608 / 4096)) ] && [ "$maps" -le 8 ] ;;
	# The disk's end may be less than a whole request.
	map) [ "$copies" -le $((max == 0 ? 0 : 3)) ] && [ "$maps" -ge $((8388608 / size)) ] ;;
	esac || fail "--copy-max $max, $size bytes: $maps map operations and $copies copies"
	down
}

default_copies
takes 8192 copy 8192
takes 8192 map 8704
takes 0 map 512
takes 512 copy 512
takes 1048576 copy 1048576

for bad in 1048577 -1 x ''; do
	"$BUILD/backend/vgrantd/vgrantd" --copy-max "$bad" >/dev/null 2>"$E2E_DIR/usage"
	status=$?
	[ $status -eq 2 ] || fail "--copy-max '$bad' gives status $status"
	grep -q 'from 0 to 1048576' "$E2E_DIR/usage" || fail "--copy-max '$bad' is refused without words"
done

# ---- memory ----

# Anonymous memory of the only worker, in KiB.
anonymous() { sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(workers | tr -d ' ')/status"; }
# Whether all is served; $busy is the most that it took. What is seen at any one time may be half of it.
served()
{
	local now lines

	lines=$(wc -l <"$E2E_DIR/user.out")
	now=$(anonymous)
	[ "$now" -le "$busy" ] || busy=$now
	[ "$lines" -ge 2 ]
}
fallen() { [ "$(anonymous)" -le $((busy - 4096)) ]; }

stop_vgrantd
start_vgrantd
mkfifo "$E2E_DIR/user.in"
guest_bg user "$g" drive --mode grant --depth 96 --size 61440
exec 9>"$E2E_DIR/user.in"
until_true "$LIMIT" grep -q capacity "$E2E_DIR/user.out" || fail "the guest does not come up"
before=$(anonymous)
echo 'requests 4000' >&9
busy=$before
until_true "$LIMIT" served || fail "the guest's requests are not served"
[ "$busy" -ge $((before + 4096)) ] || fail "96 requests in flight did not take 4 MiB for copies: $before KiB, then $busy"
if grep -q __tsan_init "$BUILD/backend/vgrantd/vgrantd"; then
	echo "   whether copies give their memory back cannot be seen: ThreadSanitizer keeps the shadow of what was touched"
else
	until_true "$LIMIT" fallen || fail "copies of $((busy - before)) KiB are not given back: $(anonymous) KiB"
	echo "   copies: $before KiB before, $busy with requests in flight, $(anonymous) after"
fi
echo 'requests 100' >&9
down

# The worker is called by its guest's number.
up --mode region
[ "$(cat "/proc/$(workers | tr -d ' ')/comm")" = "vgrantd-g$g" ] || fail "the worker is called $(cat "/proc/$(workers | tr -d ' ')/comm")"
down

# The fat policy: pool, rings, headers and tables lie in one region, and all bytes go through it.
up --mode fat --depth 8 --queues 2
[ "$(stat_of "$g" xvda regions)" -eq 1 ] || fail "mode fat: $(stat_of "$g" xvda regions) regions instead of one"
[ "$(stat_of "$g" xvda copy-ops)" -eq 0 ] || fail "mode fat: $(stat_of "$g" xvda copy-ops) copies"
down
guest "$g" verify --mode fat --size 65536 --depth 4 --seed 3 || fail "mode fat: what was written is not what is read"

detach "$g" xvda
e2e_end
