#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a guest wrote and flushed is in the image, and only that; a file system that came through the
# device is sound.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g=''
e2e_begin "$@"

image=$E2E_DIR/disk
random_image "$image" 24
cp "$image" "$E2E_DIR/model"
new_guest g
attach "$g" "$image"

# put MODE SIZE OFFSET BYTES [OPTION...]: the same bytes into the device and into a copy of what it held.
put() {
	head -c "$4" /dev/urandom >"$E2E_DIR/piece"
	guest "$g" write "$E2E_DIR/piece" --offset "$3" --mode "$1" --size "$2" --flush --depth 8 "${@:5}" ||
		fail "writing $4 bytes at $3 in mode $1 failed"
	dd if="$E2E_DIR/piece" of="$E2E_DIR/model" bs=4096 seek="$3" oflag=seek_bytes conv=notrunc \
		status=none
	same "$image" "$E2E_DIR/model" "mode $1, requests of $2 bytes: the image is not what was written"
}

put region 65536 0 1048576
put region 4096 512 1536
put bounce 8192 2097152 262144
put hybrid 4096 4194304 262144
put grant 4096 8388608 262144
put grant 262144 12582912 1048576
put fresh 131072 20971520 524288
# More buffers than requests in flight, in turn.
for mode in region bounce fat hybrid grant; do
	put $mode 4096 1048576 262144 --buffers 21
done
guest "$g" read-all --out "$E2E_DIR/back" --mode bounce --depth 8 --size 16384 --buffers 11 || fail "reading with 11 buffers failed"
same "$E2E_DIR/back" "$E2E_DIR/model" "with more buffers than requests in flight the image was read differently"

truncate -s 24M "$E2E_DIR/fs"
mkdir "$E2E_DIR/tree"
cp -r /etc/services /bin/bash "$E2E_DIR/tree" || fail "no files for the file system"
mke2fs -q -F -t ext4 -d "$E2E_DIR/tree" "$E2E_DIR/fs" || fail "mke2fs failed"
guest "$g" write "$E2E_DIR/fs" --flush --depth 8 || fail "writing a file system failed"
same "$image" "$E2E_DIR/fs" "the file system is not what was written"
guest "$g" read-all --out "$E2E_DIR/back" || fail "reading it back failed"
same "$E2E_DIR/back" "$E2E_DIR/fs" "the file system was read back differently"
detach "$g" xvda
e2fsck -fn "$image" >"$E2E_DIR/fsck.log" 2>&1 || fail "e2fsck finds the file system damaged"

e2e_end
