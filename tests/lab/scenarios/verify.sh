# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: fio writes at random, 512 bytes to 1 MiB, depth 32, from buffers that begin anywhere in a page, and verifies
# boots: pv pvh
# needs: vgrantd

# The buffers begin ALIGN bytes into a page (the device's own alignment is 512).
fio_verify() { # ALIGN SEED
	on g1 -t 300 "fio --name=verify --filename=/dev/vda --direct=1 --ioengine=io_uring --iodepth=32 --rw=randwrite \
		--bssplit=512/20:1536/10:4k/20:12k/10:64k/20:256k/10:1m/10 --blockalign=512 --serialize_overlap=1 --iomem_align=$1 \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_dump=0 --verify_state_save=0 --randseed=$2 --size=$size \
		--minimal --terse-version=3 >/tmp/fio.out 2>/tmp/fio.err || { cat /tmp/fio.err /tmp/fio.out; exit 1; }
		awk -F';' 'END { print \$6, \$47, \$5 }' /tmp/fio.out"
}

scenario() {
	local align got size=24m
	daemon_start
	domain_create g1 memory=192 "$(disks "$(disk xvda /dev/ram0)")"
	for align in 4096 512 1536; do
		read -r got < <(fio_verify $align $align)
		echo "buffers at $align: KiB read, KiB written, error: $got"
		# As much was read back as was written, and that is all of what was asked for.
		awk '{ exit !($1 >= 24576 && $2 == 24576 && $3 == 0) }' <<<"$got" || fail "fio verified less than it should: $got"
	done
	# What the guest sees is what the driver domain holds.
	got=$(on g1 -t 120 "dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1")
	domain_destroy g1
	equal "checksum in the driver domain of the disk" "$(disk_sum /dev/ram0)" "$got"
}
