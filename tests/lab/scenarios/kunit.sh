# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: the KUnit tests of the kernel series run in a guest: transport, rings, addresses, the pool, grant table
# boots: pv pvh

suites='virtio_msg virtio_msg_xen virtio_ring xen_grant_pool xen_grant_table'

# Reads a kernel log. Prints a line for each of the suites that did not run to its end and pass, and
# for each of its tests that failed or was skipped; for the others "ran SUITE TESTS".
kunit_verdict() {
	sed 's/^\[ *[0-9.]*\] //' | awk -v suites="$suites" '
		BEGIN { n = split(suites, name); for (i = 1; i <= n; i++) wanted[name[i]] }
		/^    # Subtest: / { suite = $3; plan = 0; next }
		suite && /^    1\.\.[0-9]+$/ { split($1, range, "[.][.]"); plan = range[2] }
		suite && /^    ok [0-9]+ / && !/# SKIP/ { passed[suite]++ }
		suite && /^    (not )?ok [0-9]+ / && (/^    not/ || /# SKIP/) { sub(/^ +/, ""); print suite ": " $0 }
		/^(not )?ok [0-9]+ / {
			over = $1 == "ok" ? $3 : $4
			if (over in wanted && $1 == "ok" && plan && passed[over] == plan)
				good[over] = plan
			suite = ""
		}
		END {
			for (i = 1; i <= n; i++)
				print (name[i] in good ? "ran " name[i] " " good[name[i]] : name[i] ": did not run to its end and pass")
		}'
}

scenario() {
	local verdict
	# The tests run in the boot, some against time, so that it takes longer.
	domain_create g1 paused=1 'cmdline=kunit.enable=1 kunit.filter_glob=[vx]*'
	on dom0 'xl unpause g1'
	domain_wait g1 120
	verdict=$(on g1 dmesg | kunit_verdict)
	echo "$verdict"
	if grep -qv '^ran ' <<<"$verdict"; then fail "$(grep -v '^ran ' <<<"$verdict" | tr '\n' ';')"; fi
}
