# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: vgrant-bench --xen: from dom0 it measures a guest's disk in each policy, and its figures are those that were counted
# boots: pv
# full: yes
# needs: vgrantd vgrantctl

# Times under emulation are no gate; that the counts are those of the policy is.

# program DOMAIN NAME: a program of bench/xen, into a running domain's /bin.
bench_send() { # DOMAIN NAME
	on "$1" "cat >/bin/$2 <<'LAB_END'
$(<"$LAB_DIR/../../bench/xen/$2")
LAB_END
chmod 755 /bin/$2"
}

scenario() {
	local got file=$LAB_RUN/xenbench.json
	daemon_start
	disk_fill /dev/ram0
	domain_create g1 memory=256 "$(disks "$(disk xvda /dev/ram0)")"
	bench_send g1 vgrant-bench-agent
	bench_send dom0 vgrant-bench-xen
	bench_send dom0 result.awk

	# Without the agent, and of a disk that there is not: in words.
	got=$(on dom0 'vgrant-bench-xen --guest g1 2>&1; echo status $?')
	check "it says that no agent answers" grep -q 'no vgrant-bench-agent answers in g1' <<<"$got"
	got=$(on dom0 'vgrant-bench-xen --guest g1 --vdev xvdz 2>&1; echo status $?')
	check "it says that there is no such disk" grep -q 'g1 has no virtio disk xvdz' <<<"$got"

	on g1 'vgrant-bench-agent >/tmp/agent.out 2>&1 </dev/null & echo $! >/run/agent.pid
		n=0; until grep -q ready /tmp/agent.out; do n=$((n + 1)); [ $n -lt 100 ] || { cat /tmp/agent.out; exit 1; }; usleep 100000; done'
	on dom0 -t 400 'vgrant-bench-xen --guest g1 --size 4k,64k --depth 8 --rounds 3 --seconds 1 --json /tmp/xenbench.json 2>&1'
	got=$(on dom0 'cat /tmp/xenbench.json; rm /tmp/xenbench.json')
	printf '%s\n' "$got" >"$file"
	check "it says that this is Xen" grep -q '"hypervisor": "Xen [0-9]' "$file"
	equal "points" "$(grep -c '"group"' "$file")" 6
	equal "comparisons" "$(grep -c '"name"' "$file")" 4
	# What bounces takes no grant operation, and a request of 4 KiB that is granted takes four copies: table, header, data, status.
	equal "ways of the policy bounce" "$(sed -n 's/.*"way": "\([a-z-]*\)", "policy": "bounce".*/\1/p' "$file" | sort -u)" region
	equal "requests with grant operations in the policy bounce" "$(grep '"policy": "bounce"' "$file" | grep -vc '"grant_operations": 0.0000')" 0
	check "copies of 4 KiB in the policy grant" grep -q '"way": "copy", "policy": "grant".*"size": 4096.*"grant_operations": [3-5]\.' "$file"
	equal "latencies that are none" "$(grep -c '"p50": 0[,}]' "$file")" 0
	on g1 'kill $(cat /run/agent.pid)'
	domain_destroy g1
}
