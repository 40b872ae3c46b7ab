# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: what a hostile driver domain tries on a guest: Linux refuses it, and Xen refuses it too
# boots: pv pvh
# needs: vgrantd vgguest vgforbidden

# A node like the toolstack's between the guest and a driver domain that runs no vgrantd.
node_write() { # GUEST BACKEND DEVID
	local guest back f b
	guest=$(domid "$1")
	back=$(domid "$2")
	f=/local/domain/$guest/device/virtio_disk/$3
	b=/local/domain/$back/backend/virtio_disk/$guest/$3
	on dom0 "xenstore-write $b/frontend $f $b/frontend-id $guest $b/state 1 \
		$f/backend $b $f/backend-id $back $f/state 1
		xenstore-chmod -r $b n$back r$guest; xenstore-chmod -r $f n$guest r$back"
}

# probe DOMAIN: all attempts at the guest that need no grant; the output, with the status as last line.
probe() {
	on "$1" "labprobe $guest $gfn /local/domain/$guest/device/virtio_disk/51712; echo status \$?"
}

# The attempts that the probe made, refused or not, by name.
refused() { sed -n 's/^refused \([^:]*\):.*/\1/p' <<<"$1" | tr '\n' ' '; }
allowed() { sed -n 's/^allowed //p' <<<"$1" | tr '\n' ' '; }

# Everything that needs privilege over the guest: of the driver domain as it is (Linux's privcmd
# blocks each hypercall), and of one whose Linux lets all of them through, so that Xen answers.
without_grants() {
	local out name attempts='foreign-read foreign-write grant-table-map ioreq-page-map ioreq-server inject-msi store-write '
	out=$(probe dom0)
	printf 'dom0, the control, which has the privilege:\n%s\n' "$out"
	for name in foreign-read foreign-write grant-table-map; do
		[[ " $(allowed "$out")" == *" $name "* ]] || fail "the control: dom0 was refused $name, so its refusal elsewhere proves nothing"
	done
	[[ $BOOT_TYPE == pv || " $(allowed "$out")" == *" ioreq-server "* ]] ||
		fail "the control: dom0 could not open an IOREQ server for a PVH guest"
	for name in driver prober; do
		out=$(probe "$name")
		printf '%s:\n%s\n' "$name" "$out"
		equal "what $name was allowed" "$(allowed "$out")" ""
		equal "what $name was refused" "$(refused "$out")" "$attempts"
	done
}

# References: never granted, granted to another domain, granted read-only, and after the grant's end.
with_references() { # DOMAIN DEVID
	local out ro temporary never refs='' ref
	on g1 "rm -f /run/in; mkfifo /run/in; (sleep 1000 >/run/in & echo \$! >/run/sleep.pid)
		vgguest forbidden --devid $2 </run/in >/run/forbidden.out 2>&1 &
		echo \$! >/run/forbidden.pid
		n=0; until grep -q ready /run/forbidden.out; do n=\$((n + 1)); [ \$n -lt 300 ] || { cat /run/forbidden.out; exit 1; }; usleep 100000; done"
	out=$(on g1 'cat /run/forbidden.out')
	ro=$(awk '$1 == "read-only" { print $2 }' <<<"$out")
	temporary=$(awk '$1 == "temporary" { print $2 }' <<<"$out")
	never=$(awk '$1 == "never" { print $2 }' <<<"$out")
	# The guest's first references are its console's and xenstore's, granted to dom0.
	for ref in 0 1 2 7 8 $((temporary + 1)) $((temporary + 2)) 511 "$never" 4000000; do
		[[ $ref == "$ro" || $ref == "$temporary" ]] || refs+=" --never $ref"
	done
	on "$1" "vgforbidden --domid $guest --granted $ro --granted $temporary --read-only $ro $refs"
	on g1 'echo end >/run/in; n=0; until grep -q ended /run/forbidden.out; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; usleep 100000; done'
	on "$1" "vgforbidden --domid $guest --granted $ro --ended $temporary"
	out=$(on g1 'echo check >/run/in; n=0; until grep -E "intact|changed" /run/forbidden.out; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; usleep 100000; done
		kill $(cat /run/sleep.pid) $(cat /run/forbidden.pid); rm -f /run/in')
	equal "the page that was granted read-only" "$out" intact
}

scenario() {
	local guest gfn out
	daemon_start
	domain_create g1 "$(disks "$(disk xvda /dev/ram0)")" cmdline=xen_gntalloc.limit=4096
	domain_create prober ramdisk=driver memory=96 driver_domain=1 cmdline=xen_privcmd.unrestricted=1
	guest=$(domid g1)
	# A frame of the guest that is certainly memory: its xenstore ring.
	gfn=$(on dom0 "xenstore-read /local/domain/$guest/store/ring-ref")
	node_write g1 prober 51728
	guest_release g1 51712

	without_grants
	echo "references, tried by the driver domain:"
	with_references driver 51712
	echo "references, tried by a domain whose Linux blocks no hypercall:"
	with_references prober 51728
	# The guest is unharmed and its disk still works.
	out=$(on g1 'vgguest info --devid 51712')
	check "the disk answers after all that" grep -q capacity <<<"$out"
	on dom0 "xenstore-rm /local/domain/$(domid prober)/backend"
}
