#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrantd stands on Xen's stable libraries only, and has no function of theirs that maps a guest's memory but for grants.
set -u
BUILD=${1:?the build directory is missing}
NAME=links
VGRANTD=$BUILD/backend/vgrantd/vgrantd

fail() {
	echo "FAIL $NAME: $*"
	exit 1
}

command -v readelf >/dev/null || fail "there is no readelf (package binutils)"
needed=$(readelf -d "$VGRANTD" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p') || fail "cannot read $VGRANTD"
for library in $needed; do
	case $library in
	libxengnttab.so.1 | libxenevtchn.so.1 | libxenstore.so.4 | libxendevicemodel.so.1 | libxenforeignmemory.so.1) ;;
	liburing.so.2 | libc.so.6 | ld-linux*) ;;
	libasan.so.* | libubsan.so.* | libtsan.so.* | libm.so.6 | libgcc_s.so.1 | libresolv.so.2) ;; # sanitizers bring them
	*) fail "vgrantd links $library" ;;
	esac
done
# The resource, which is Xen's page of I/O requests; and not xenforeignmemory_map.
used=$(readelf -W --dyn-syms "$VGRANTD" | sed -n 's/.* UND \(xen\(foreignmemory\|devicemodel\)_[a-z0-9_]*\).*/\1/p' | sort)
want='xendevicemodel_close
xendevicemodel_create_ioreq_server
xendevicemodel_destroy_ioreq_server
xendevicemodel_map_io_range_to_ioreq_server
xendevicemodel_nr_vcpus
xendevicemodel_open
xendevicemodel_restrict
xendevicemodel_set_ioreq_server_state
xendevicemodel_set_irq_level
xendevicemodel_set_isa_irq_level
xendevicemodel_unmap_io_range_from_ioreq_server
xenforeignmemory_close
xenforeignmemory_map_resource
xenforeignmemory_open
xenforeignmemory_restrict
xenforeignmemory_unmap_resource'
[ "$used" = "$want" ] || fail "of the device model's libraries vgrantd uses: $(diff <(echo "$want") <(echo "$used"))"
echo "ok $NAME"
