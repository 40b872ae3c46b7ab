# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# what: abuse: a thousand changes of policy and pool, unbinds, resets and xl save -c at random, under fio that verifies; what is left
# boots: pv pvh
# full: yes
# needs: vgrantd vgrantctl

# VGRANT_ABUSE_SEED repeats a run, VGRANT_ABUSE_STEPS makes it shorter.

# shellcheck source=../lib/measure.sh
. "$LAB_DIR/lib/measure.sh"

STEPS=${VGRANT_ABUSE_STEPS:-1000}

# A step, by the seed.
step() {
	local n=$((RANDOM % 1000)) i disks=(first other) policies=(bounce hybrid grant)
	i=$((RANDOM % 32768))
	if ((n < 450)); then
		echo "policy ${disks[i % 2]} ${policies[i / 2 % 3]}"
	elif ((n < 750)); then
		echo "pool ${disks[i % 2]} $((1 + i / 2 % 24))"
	elif ((n < 850)); then
		echo "threshold ${disks[i % 2]} $((512 << (i / 2 % 9)))"
	elif ((n < 930)); then
		echo reset
	elif ((n < 985)); then
		echo unbind
	else
		echo save
	fi
}

# The disks as they are when nothing is under way: what is granted for buffers has ended, and the
# backend keeps nothing.
guest_quiet() {
	on g1 -t 60 'cd /sys/class/virtio-msg; for d in *; do echo bounce >$d/policy; done; cd /sys/kernel/debug/virtio-msg-xen; n=0
		until awk "{ f[FILENAME, \$1] = \$2; seen[FILENAME] = 1 } END { for (d in seen) if (f[d, \"pool-chunks\"] != 2) exit 1 }" *; do
			n=$((n + 1)); [ $n -lt 200 ] || { cat *; exit 1; }; usleep 200000; done
		awk "{ f[FILENAME, \$1] = \$2; seen[FILENAME] = 1 }
			END { for (d in seen) if (f[d, \"grants-live\"] != f[d, \"pool-pages\"] || f[d, \"quarantined-pages\"] != 0) bad = 1; exit bad }" * || { cat *; exit 1; }'
}

save() { on dom0 -t 180 'xl save -c g1 /tmp/saved >/tmp/save.out 2>&1 || { cat /tmp/save.out; exit 1; }; rm -f /tmp/saved'; }

# KiB that are free in the guest, and KiB of memory of its own that vgrantd has: what it maps of the
# guest is none of that, and goes up and down with the pools.
memory() {
	on g1 'echo 3 >/proc/sys/vm/drop_caches; awk "\$1 == \"MemFree:\" { print \$2 }" /proc/meminfo'
	on driver "for p in $(daemon_processes); do cat /proc/\$p/status; done | awk '\$1 == \"RssAnon:\" { sum += \$2 } END { print sum }'"
}

scenario() {
	local seed=${VGRANT_ABUSE_SEED:-$RANDOM} i steps=() list='' count=0 before was now first other
	RANDOM=$seed
	for ((i = 0; i < STEPS; i++)); do
		step
	done >"$LAB_RUN/abuse.steps"
	mapfile -t steps <"$LAB_RUN/abuse.steps"
	echo "seed $seed; steps: $(awk '{ n[$1]++ } END { for (word in n) print n[word], word }' "$LAB_RUN/abuse.steps" | sort -k 2 | xargs)"
	daemon_start
	domain_create g1 memory=160 "$(disks "$(disk xvda /dev/ram0)" "$(disk xvdb /dev/ram1)")"
	program_send g1 abuser
	first=$(guest_disk g1 51712) other=$(guest_disk g1 51728)
	# What a policy, a disk that comes back or a save takes once is no loss.
	on g1 -t 120 "abuser start $first $other || exit 1
		printf '%s\n' 'policy first grant' 'policy other grant' reset 'policy other hybrid' unbind 'policy first hybrid' >/run/abuse.list
		abuser run /run/abuse.list && abuser stop"
	save
	guest_quiet
	before=$(holdings g1)
	mapfile -t was < <(memory)
	on g1 -t 60 "abuser start $first $other"
	# What comes between two saves is one script in the guest.
	for i in "${!steps[@]}" end; do
		if [[ $i != end && ${steps[i]} != save ]]; then
			list+=${steps[i]}$'\n'
			continue
		fi
		count=$(wc -l <<<"$list")
		on g1 -t $((60 + count * 3)) "cat >/run/abuse.list <<'END'
${list}END
abuser run /run/abuse.list" || fail "seed $seed: $(cat "$LAB_RUN/state/problem")"
		list=
		[[ $i == end ]] || save
	done
	on g1 -t 60 'abuser stop' || fail "seed $seed: $(cat "$LAB_RUN/state/problem")"
	equal "steps that were taken in the guest" "$(on g1 'wc -l </run/abuse.done')" "$(grep -vc '^save$' "$LAB_RUN/abuse.steps")"
	guest_quiet
	holdings_are g1 "$before" "seed $seed: after all that"
	mapfile -t now < <(memory)
	echo "KiB free in the guest: ${was[0]}, then ${now[0]}; of vgrantd: ${was[1]}, then ${now[1]}"
	((was[0] - now[0] < 8192)) || fail "seed $seed: the guest has lost $((was[0] - now[0])) KiB of its memory"
	((now[1] - was[1] < 1024)) || fail "seed $seed: vgrantd has grown by $((now[1] - was[1])) KiB"
}
