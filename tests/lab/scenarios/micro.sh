# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: what single operations cost here: grants mapped and copied by batch, events, the virtqueue over granted pages
# boots: pv pvh
# full: yes
# needs: vgrant-micro

# Times under emulation are no gate: what is required is that each operation works and was measured. The table is this scenario's
# output, micro.json lies beside it.

scenario() {
	local guest got file=$LAB_RUN/micro.json
	domain_create g1
	guest=$(domid g1)
	on g1 "rm -f /run/in; mkfifo /run/in; (sleep 1000 >/run/in & echo \$! >/run/sleep.pid)
		vgrant-micro --serve $(domid driver) </run/in >/run/micro.out 2>&1 &
		echo \$! >/run/micro.pid
		n=0; until grep -q ready /run/micro.out; do n=\$((n + 1)); [ \$n -lt 300 ] || { cat /run/micro.out; exit 1; }; usleep 100000; done"
	got=$(on g1 'cat /run/micro.out')
	on driver -t 300 "cat >/tmp/micro.guest <<'END'
$got
END
vgrant-micro --guest $guest /tmp/micro.guest --rounds 7 --ms 20 --json /tmp/micro.json"
	got=$(on driver 'cat /tmp/micro.json; rm /tmp/micro.json /tmp/micro.guest')
	printf '%s\n' "$got" >"$file"
	check "it says that this is Xen" grep -q '"hypervisor": "Xen [0-9]' "$file"
	equal "operations that were measured" "$(grep -c '"ns": [0-9]*[1-9]' "$file")" 30
	# The guest's program lets go of its pages, and they were not in use.
	on g1 'kill $(cat /run/sleep.pid); n=0; while kill -0 $(cat /run/micro.pid) 2>/dev/null; do n=$((n + 1)); [ $n -lt 300 ] || exit 1; usleep 100000; done'
	domain_destroy g1
}
