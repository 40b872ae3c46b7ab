# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: vgrant-bench --xen: from dom0 and from the driver domain it measures a guest's disk in each policy, writes where both ends allow it, and its figures are those that were counted
# boots: pv pvh
# full: pvh
# needs: vgrantd vgrantctl

# Times under emulation are no gate; that the counts are those of the policy is.

# measured DOMAIN OPTION...: what vgrant-bench measures there, into xenbench.DOMAIN.json.
measured() {
	local got
	on "$1" -t 400 "vgrant-bench-xen ${*:2} --depth 8 --seconds 1 --json /tmp/xenbench.json 2>&1"
	got=$(on "$1" 'cat /tmp/xenbench.json; rm /tmp/xenbench.json')
	printf '%s\n' "$got" >"$LAB_RUN/xenbench.$1.json"
}

# What holds wherever it ran and however short.
check_json() { # FILE POINTS COMPARISONS CPU-TIME
	check "it says that this is Xen" grep -q '"hypervisor": "Xen [0-9]' "$1"
	check "it says where the CPU time is from" grep -q "\"cpu_time\": \"$4\"" "$1"
	equal "points" "$(grep -c '"group"' "$1")" "$2"
	equal "comparisons" "$(grep -c '"name"' "$1")" "$3"
	# What bounces takes no grant operation, and a request of 4 KiB that is granted takes four copies: table, header, data, status.
	equal "ways of the policy bounce" "$(sed -n 's/.*"way": "\([a-z-]*\)", "policy": "bounce".*/\1/p' "$1" | sort -u)" region
	equal "requests with grant operations in the policy bounce" "$(grep '"policy": "bounce"' "$1" | grep -vc '"grant_operations": 0.0000')" 0
	check "copies of 4 KiB in the policy grant" grep -q '"way": "copy", "policy": "grant".*"size": 4096.*"grant_operations": [3-5]\.' "$1"
	equal "latencies that are none" "$(grep -c '"p50": 0[,}]' "$1")" 0
	equal "CPU times that are none" "$(grep -c 'cpu_ns": 0\.0[,}]' "$1")" 0
	equal "pages of the guest" "$(sed -n 's/.*"guest_pages": \([0-9]*\).*/\1/p' "$1" | sort -u)" 65536
}

agent_start() { # [OPTION...]
	on g1 "vgrant-bench-agent $* >/tmp/agent.out 2>&1 </dev/null & echo \$! >/run/agent.pid
		n=0; until grep -q ready /tmp/agent.out; do n=\$((n + 1)); [ \$n -lt 100 ] || { cat /tmp/agent.out; exit 1; }; usleep 100000; done"
}

agent_stop() {
	on g1 'p=$(cat /run/agent.pid); kill $p; n=0; while kill -0 $p 2>/dev/null; do n=$((n + 1)); [ $n -lt 100 ] || exit 1; usleep 100000; done'
	equal "what the agent says" "$(on g1 'cat /tmp/agent.out')" "vgrant-bench-agent: ready"
}

written() { on g1 "awk '{ print \$5 }' /sys/block/vda/stat"; }
policy() { on g1 'cat /sys/class/virtio-msg/*/policy'; }

scenario() {
	local got id was written from_dom0='--size 4k --rounds 1 --policy bounce,grant' from_driver='--op write --size 4k --rounds 1 --policy bounce,grant' points=2 comparisons=1
	[[ ! $FULL ]] || from_dom0='--size 4k,64k --rounds 3' from_driver='--op read,write --size 4k --rounds 1' points=6 comparisons=4
	daemon_start
	domain_create g1 memory=256 "$(disks "$(disk xvda /dev/ram0)")"
	id=$(domid g1)

	# Without the agent, of a disk that there is not, and by a name that is not seen: in words.
	got=$(on dom0 'vgrant-bench-xen --guest g1 2>&1; echo status $?')
	check "it says that no agent answers" grep -q 'no vgrant-bench-agent answers in g1' <<<"$got"
	got=$(on dom0 'vgrant-bench-xen --guest g1 --vdev xvdz 2>&1; echo status $?')
	check "it says that there is no such disk" grep -q 'domain g1 has no device xvdz' <<<"$got"
	got=$(on driver "vgrant-bench-xen --guest $id 2>&1; vgrant-bench-xen --guest g1 2>&1; echo status \$?")
	check "the driver domain says that no agent answers" grep -q "no vgrant-bench-agent answers in $id" <<<"$got"
	check "the driver domain says that it sees no names" grep -q "no domain 'g1' that this one may see: give its number" <<<"$got"

	agent_start --destroy /dev/vda
	was=$(policy)
	measured dom0 --guest g1 "$from_dom0"
	check_json "$LAB_RUN/xenbench.dom0.json" $points $comparisons 'xl list'
	equal "the policy afterwards" "$(policy)" "$was"
	equal "what was written to the disk" "$(written)" 0

	on g1 'mke2fs -q /dev/vda >/dev/null && mount /dev/vda /mnt'
	got=$(on driver "vgrant-bench-xen --guest $id --op write --destroy --seconds 1 2>&1; true")
	check "a disk that is mounted is not spared: $got" grep -q '/dev/vda is in use: nothing is written to /dev/vda' <<<"$got"
	on g1 'umount /mnt'
	written=$(written)
	measured driver --guest "$id" --destroy "$from_driver"
	check_json "$LAB_RUN/xenbench.driver.json" $points $comparisons /proc/stat
	got=$(awk -F'"requests": ' '/"op": "write"/ { sub(/,.*/, "", $2); n += $2 } END { print n }' "$LAB_RUN/xenbench.driver.json")
	written=$(($(written) - written))
	check "of $got writes $written have come to the disk" test $((2 * written)) -gt "$got"
	agent_stop
	got=$(on dom0 "for d in 0 $(domid driver) $id; do xenstore-ls -f /local/domain/\$d/data 2>/dev/null | grep 'vgrant-bench/'; done; true")
	equal "what stays in xenstore" "$got" ''
	domain_destroy g1
}
