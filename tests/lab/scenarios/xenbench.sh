# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: vgrant-bench --xen: from dom0 and from the driver domain it measures a guest's disk in each policy, writes where both ends allow it, and its figures are those that were counted
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

# Asks the driver domain for writes, which are refused in these words; nothing is written.
refused() { # WORDS
	local got
	got=$(on driver "vgrant-bench-xen --guest $id --op write --destroy --size 4k --depth 1 --policy grant --rounds 1 2>&1; true")
	check "writes are not refused in the words '$1': $got" grep -q "$1" <<<"$got"
}

# Of the part of the disk that is likely to change.
sum() { on driver 'head -c 4194304 /dev/ram0 | sha256sum'; }

policy() { on g1 'cat /sys/class/virtio-msg/*/policy'; }

scenario() {
	local got id was sum
	daemon_start
	disk_fill /dev/ram0
	domain_create g1 memory=256 "$(disks "$(disk xvda /dev/ram0)")"
	bench_send g1 vgrant-bench-agent
	for got in dom0 driver; do
		bench_send $got vgrant-bench-xen
		bench_send $got result.awk
	done
	id=$(domid g1)

	# Without the agent, of a disk that there is not, and by a name that is not seen: in words.
	got=$(on dom0 'vgrant-bench-xen --guest g1 2>&1; echo status $?')
	check "it says that no agent answers" grep -q 'no vgrant-bench-agent answers in g1' <<<"$got"
	got=$(on dom0 'vgrant-bench-xen --guest g1 --vdev xvdz 2>&1; echo status $?')
	check "it says that there is no such disk" grep -q 'domain g1 has no device xvdz' <<<"$got"
	got=$(on driver "vgrant-bench-xen --guest $id 2>&1; vgrant-bench-xen --guest g1 2>&1; echo status \$?")
	check "the driver domain says that no agent answers" grep -q "no vgrant-bench-agent answers in $id" <<<"$got"
	check "the driver domain says that it sees no names" grep -q "no domain 'g1' that this one may see: give its number" <<<"$got"

	agent_start
	was=$(policy) sum=$(sum)
	refused 'writing destroys what is on /dev/vda: who runs vgrant-bench-agent must allow it, with --destroy /dev/vda'
	measured dom0 --guest g1 --size 4k,64k --rounds 3
	check_json "$LAB_RUN/xenbench.dom0.json" 6 4 'xl list'
	equal "the policy afterwards" "$(policy)" "$was"
	equal "the disk, which was only read" "$(sum)" "$sum"
	agent_stop

	agent_start --destroy /dev/vda
	on g1 'mke2fs -q /dev/vda && mount /dev/vda /mnt'
	refused '/dev/vda is in use: nothing is written to /dev/vda'
	on g1 'umount /mnt'
	sum=$(sum)
	measured driver --guest "$id" --op read,write --destroy --size 4k --rounds 1
	check_json "$LAB_RUN/xenbench.driver.json" 6 4 /proc/stat
	equal "points of writes" "$(grep -c '"op": "write"' "$LAB_RUN/xenbench.driver.json")" 3
	check "writes change the disk" test "$(sum)" != "$sum"
	agent_stop
	got=$(on dom0 "for d in 0 $(domid driver) $id; do xenstore-ls -f /local/domain/\$d/data 2>/dev/null | grep 'vgrant-bench/'; done; true")
	equal "what stays in xenstore" "$got" ''
	domain_destroy g1
}
