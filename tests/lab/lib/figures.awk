# SPDX-License-Identifier: MIT
# Makes a table (standard output) and JSON (the file named by -v json=) of what lib/measure.sh wrote.
# Status 1: something that every disk must have is missing, or a count is not what the policy promises.
# Variables: boot, cpus, json.

function missing(what) {
	print "missing: " what
	bad = 1
	return 0
}

function broken(disk, job, what) {
	print "broken: " disk ", " job ": " what
	bad = 1
}

# The value at @q (0 to 1) of @n numbers in list[], between neighbours when it falls there.
function quantile(n, q,    i, j, t, at) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
			t = list[j]
			list[j] = list[j - 1]
			list[j - 1] = t
		}
	at = 1 + (n - 1) * q
	i = int(at)
	return i < n ? list[i] + (at - i) * (list[i + 1] - list[i]) : list[n]
}

# Bytes of one I/O, from the job's name: "read-1m-4".
function block(job,    part) {
	split(job, part, "-")
	return part[2] ~ /m$/ ? part[2] * 1048576 : part[2] * 1024
}
function reads(job) { return job ~ /read/ }
function unit(job) { return block(job) >= 65536 ? "MiB/s" : "I/O per s" }
function rate(job, kib, ms) { return kib * 1024 / (block(job) >= 65536 ? 1048576 : block(job)) / ms * 1000 }

# A policy of our frontend, or another backend. Which domain serves it, and what its process is called there.
function ours(disk) { return disk == "bounce" || disk == "hybrid" || disk == "grant" }
function server(disk) { return disk == "qdisk" ? "dom0" : "driver" }
function process(disk) { return ours(disk) ? "(vgrantd|vgrantd-g[0-9]+)" : disk == "qdisk" ? "xen-qemu-system" : "[0-9]+[.]xvd.-[0-9]+" }

# The sum of the counters of a domain whose name fits, in one pass.
function total(pass, disk, job, domain, pattern,    key, part, sum, seen) {
	for (key in counter) {
		split(key, part, SUBSEP)
		if (part[1] == pass && part[2] == disk && part[3] == job && part[4] == domain && part[5] ~ pattern) {
			sum += counter[key]
			seen = 1
		}
	}
	if (!seen && !may_be_none)
		missing("counter " pattern " of " domain ", " pass " pass of " disk ", " job)
	return sum + 0
}

# The same, for one I/O.
function count(pass, disk, job, domain, pattern) {
	if (!ios[pass, disk, job])
		return missing(pass " pass of " disk ", " job)
	return total(pass, disk, job, domain, pattern) / ios[pass, disk, job]
}

# System calls: a process that made none has no line.
function calls(disk, job, pattern,    n) {
	may_be_none = 1
	n = total("traced", disk, job, server(disk), pattern)
	may_be_none = 0
	return n
}

function field(name, value) { fields = fields sprintf("%s\"%s\": %.6g", fields == "" ? "" : ", ", name, value) }

function cell(words, text) {
	if (!(words in line)) {
		order[++rows] = words
		line[words] = ""
		cells[words] = 0
	}
	for (; cells[words] < column_number - 1; cells[words]++)
		line[words] = line[words] sprintf("%20s", "")
	line[words] = line[words] sprintf("%20s", text)
	cells[words]++
}

function row(words, name, format, value) {
	cell(words, sprintf(format, value))
	field(name, value)
}

# Median and quartiles of list[1..n] as text and as a JSON object.
function spread(n, format) { return sprintf(n > 1 ? format " [" format " " format "]" : format, quantile(n, 0.5), quantile(n, 0.25), quantile(n, 0.75)) }
function spread_field(name, n) {
	fields = fields sprintf("%s\"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", fields == "" ? "" : ", ", name, quantile(n, 0.5),
		quantile(n, 0.25), quantile(n, 0.75))
}

# list[1..] = how fast one disk was against another, round by round; how many there are.
function ratios(job, disk, other,    n, r) {
	for (r = 1; r <= rounds; r++)
		if ((r, disk, job) in timed && (r, other, job) in timed)
			list[++n] = timed[r, disk, job] / timed[r, other, job]
	return n
}

# What the frontend copied. blkfront's functions are called for each request that is not copied, too,
# with grants for each request.
function copied_in_front(disk, job,    n) {
	if (ours(disk))
		return total("traced", disk, job, "g1", "^driver:bounced-bytes-(in|out)$")
	if (disk != "blkback")
		return 0
	may_be_none = 1
	n = total("traced", disk, job, "g1", reads(job) ? "^front-in-ops$" : "^front-out-ops$")
	may_be_none = 0
	return n
}

# What was copied by Xen or, in our case, by Xen and by vgrantd: each of QEMU's copies here is a page.
function copied_in_back(disk, job) {
	if (ours(disk))
		return total("traced", disk, job, "dom0", "^vgrantd:bytes-copied$")
	return total("traced", disk, job, server(disk), "^copy-ops$") * 4096
}

function column(job, disk,    n, r, d, p, base) {
	fields = ""
	base = (("plain", disk, job) in ios) ? "plain" : "traced"
	for (r = 1; r <= rounds; r++)
		if ((r, disk, job) in timed)
			list[++n] = timed[r, disk, job]
	if (n < rounds || !rounds)
		return missing("timed rounds of " disk ", " job)
	cell(unit(job), spread(n, "%.0f"))
	spread_field("rate", n)
	n = ratios(job, "bounce", disk)
	if (n) {
		cell("bounce / this", spread(n, "%.2f"))
		spread_field("bounce_ratio", n)
	}

	d = server(disk)
	p = process(disk)
	n = ios["traced", disk, job]
	if (!n)
		return missing("traced pass of " disk ", " job)
	row("requests on the ring", "ring_requests", "%.2f", count("traced", disk, job, "g1", "^requests:" device[disk] "$"))
	row("guest: grants made", "guest_grants", "%.2f", count("traced", disk, job, "g1", "^grant-calls$"))
	# blkfront tries to end its persistent grants after each request and, when idle, all of them
	# every ten seconds, whichever disk the job is on.
	row("guest: ends of grants tried", "guest_ends", "%.2f", count("traced", disk, job, "g1", "^end-calls$"))
	row("guest: bytes copied", "guest_bytes_copied", "%.0f", copied_in_front(disk, job) / n)
	row("guest: events sent", "guest_sends", "%.3f", count("traced", disk, job, "g1", "^send-calls$"))
	row("guest: interrupts", "guest_interrupts", "%.3f", count(base, disk, job, "g1", "^irq:(blkif|virt)"))
	row("backend: pages mapped", "map_ops", "%.2f", count("traced", disk, job, d, "^k?map-ops$"))
	row("backend: pages unmapped", "unmap_ops", "%.2f", count("traced", disk, job, d, "^k?unmap-ops$"))
	row("backend: grant copies", "copy_ops", "%.2f", count("traced", disk, job, d, "^copy-ops$"))
	row("backend: hypercalls for these", "grant_calls", "%.3f", count("traced", disk, job, d, "^(k?map|k?unmap|copy)-calls$"))
	row("backend: bytes copied", "backend_bytes_copied", "%.0f", copied_in_back(disk, job) / n)
	row("backend: events sent", "backend_sends", "%.3f", disk ~ /^blkback/ ? count("traced", disk, job, d, "^send-calls$") : calls(disk, job, "^syscalls:" p ":44504$") / n)
	row("backend: system calls", "system_calls", "%.3f", calls(disk, job, "^raw_syscalls:" p ":") / n)
	row("backend: interrupts", "backend_interrupts", "%.3f", count(base, disk, job, d, disk ~ /^blkback/ ? "^irq:blkif-backend$" : "^irq:evtchn:" p "$"))
	row("CPU us: guest", "cpu_us_guest", "%.1f", cpu_us(base, disk, job, "g1"))
	row("CPU us: driver domain", "cpu_us_driver", "%.1f", cpu_us(base, disk, job, "driver"))
	row("CPU us: dom0", "cpu_us_dom0", "%.1f", cpu_us(base, disk, job, "Domain-0"))
	if (base == "plain")
		row("speed while traced", "traced_speed", "%.2f", speed["traced", disk, job] / speed["plain", disk, job])
	if (ours(disk))
		gates(job, disk, p)
	may_be_none = 1
	for (d in domains)
		if (total("traced", disk, job, d, "^dropped$"))
			missing("what " d " counted in vain: a histogram was full; " disk ", " job)
	may_be_none = 0
	return 1
}

function cpu_us(pass, disk, job, domain) {
	if (!((pass, disk, job, domain) in cpu))
		return missing("CPU time of " domain " for " disk ", " job)
	return cpu[pass, disk, job, domain] * 1e6 / (speed[pass, disk, job] * 1048576 / block(job))
}

# ---- what a policy promises ----

function same(disk, job, words, got, wanted) {
	if (got != wanted)
		broken(disk, job, words ": " got ", wanted " wanted)
}

# The least and the most that it may be.
function within(disk, job, words, got, least, most) {
	if (got < least || got > most)
		broken(disk, job, words ": " got ", wanted " least " to " most)
}

# All in numbers of the traced pass. Chunks of the pool that were added while the job ran are grants of
# 256 pages each and one mapping, which belong to no request. Where the pool was exhausted a request came
# again, and what had been copied of it counts twice.
function gates(job, disk, p,    ring, payload, chunks, grants, bounced, pages, again, table) {
	ring = total("traced", disk, job, "g1", "^requests:" device[disk] "$")
	payload = total("traced", disk, job, "g1", "^sectors:" device[disk] "$") * 512
	chunks = total("traced", disk, job, "g1", "^chunk-ops$")
	grants = total("traced", disk, job, "g1", "^driver:transient-grants$")
	pages = total("traced", disk, job, "g1", "^driver:granted-bytes$") / 4096
	bounced = total("traced", disk, job, "g1", "^driver:bounced-bytes-" (reads(job) ? "in" : "out") "$")
	# A request on the ring has a header, its data, and a byte of status; and a descriptor of each
	# in a table of its own.
	table = 16 * (block(job) / 4096 + 2)
	again = total("traced", disk, job, "g1", "^driver:pool-exhausted$") * (block(job) + 16 + table)

	# What vgrantd and our driver say of themselves is what the kernels of both domains have counted.
	same(disk, job, "requests that vgrantd tells of, and the guest's disk", total("traced", disk, job, "dom0", "^vgrantd:requests$"), ring)
	same(disk, job, "vgrantd's copies, and system calls for them", total("traced", disk, job, "dom0", "^vgrantd:copy-calls$"), calls(disk, job, "^syscalls:" p ":104708$"))
	same(disk, job, "vgrantd's mappings, and system calls for them", total("traced", disk, job, "dom0", "^vgrantd:map-ops$"), calls(disk, job, "^syscalls:" p ":184700$"))
	same(disk, job, "grants that the driver tells of, and the guest's kernel", grants + chunks * 256, total("traced", disk, job, "g1", "^grant-calls$"))
	same(disk, job, "grants that the driver has ended, and made", total("traced", disk, job, "g1", "^driver:transient-grants-ended$"), grants)
	mappings(job, disk)

	if (disk == "bounce" || (disk == "hybrid" && block(job) < threshold)) {
		same(disk, job, "pages of buffers granted by the guest", grants, 0)
		same(disk, job, "mappings by vgrantd", total("traced", disk, job, "dom0", "^vgrantd:map-ops$"), chunks)
		same(disk, job, "copies through Xen", total("traced", disk, job, "driver", "^copy-ops$"), 0)
		same(disk, job, "bytes copied by vgrantd", total("traced", disk, job, "dom0", "^vgrantd:bytes-copied$"), 0)
	} else if (grants)
		within(disk, job, "vgrantd's mappings and copies", calls(disk, job, "^syscalls:" p ":(184700|104708)$"), 1, 1e9)
	# Each byte is bounced or granted, once. A read brings its status as well; a write takes its
	# header and its table along. (The policy "grant" grants these, too.)
	if (disk != "grant")
		within(disk, job, "bytes that the guest copied or granted", bounced + pages * 4096, payload + ring * (reads(job) ? 1 : 16),
			payload + ring * (reads(job) ? 1 : 16 + table) + again)
	else {
		same(disk, job, "bytes that the guest copied", bounced, 0)
		within(disk, job, "pages of buffers granted by the guest", grants, payload / 4096, payload / 4096 + ring * 4)
	}
}

# Each single mapping, by its size, was made as the policy says: what a buffer has for itself is granted,
# and of fio's that is all.
function mappings(job, disk,    key, part, of, n, bounce) {
	for (key in counter) {
		split(key, part, SUBSEP)
		if (part[1] != "traced" || part[2] != disk || part[3] != job || part[4] != "g1" || part[5] !~ /^mapped:/ || !counter[key])
			continue
		split(part[5], of, ":")
		bounce = disk == "bounce" || (disk == "hybrid" && of[2] < threshold)
		if (of[3] != (bounce ? of[2] : 0))
			broken(disk, job, counter[key] " mappings of " of[2] " bytes, " of[3] " of which were bounced")
		if (!bounce)
			granted_at[disk] += counter[key]
		n += counter[key]
	}
	if (n < ios["traced", disk, job])
		missing("mappings of " disk ", " job ": " n + 0)
}

# ---- aims, which are no gates: emulation distorts time ----

function aim(job, disk, other, least,    n) {
	n = ratios(job, disk, other)
	if (n)
		printf "aim: %s: %s / %s: %s; wanted: %.1f\n", job, disk, other, spread(n, "%.2f"), least
}

function aims(    j, d, best, value, n) {
	for (j = 1; j <= num_jobs; j++) {
		if (jobs[j] ~ /^randread-4k-32/) {
			aim(jobs[j], "bounce", "blkback", 1)
			aim(jobs[j], "bounce", "qdisk", 2)
		}
		if (jobs[j] !~ /-1m-/)
			continue
		best = ""
		for (d = 1; d <= num_disks; d++) {
			n = ours(disks[d]) ? ratios(jobs[j], disks[d], "blkback") : 0
			if (n && (best == "" || quantile(n, 0.5) > value)) {
				best = disks[d]
				value = quantile(n, 0.5)
			}
		}
		if (best != "")
			aim(jobs[j], best, "blkback", 0.9)
	}
}

# ---- what emulation makes dearer: not everything by the same factor ----

function costs(    i, name, text) {
	if (!num_costs)
		return
	printf "%-30s%20s%20s%20s\n", "one operation, ns", "native", "in the guest", "factor"
	for (i = 1; i <= num_costs; i++) {
		name = cost_names[i]
		text = text sprintf("%s\"%s\": {\"native\": %s, \"guest\": %s}", i > 1 ? ", " : "", name, (("native", name) in cost) ? cost["native", name] : "null",
			cost["guest", name])
		printf "%-30s%20s%20.0f%20s\n", name, (("native", name) in cost) ? cost["native", name] : "-", cost["guest", name],
			(cost["native", name] ? sprintf("%.1f", cost["guest", name] / cost["native", name]) : "-")
	}
	out = out "], \"costs_ns\": {" text "}"
	closing = "}"
}

# ---- input ----

$1 == "device" {
	if (!($2 in device))
		disks[++num_disks] = $2
	device[$2] = $3
}
$1 == "threshold" { threshold = $2 }
$1 == "cost" {
	cost[$2, $3] = $4
	if ($2 == "guest")
		cost_names[++num_costs] = $3
}
$1 == "time" {
	timed[$2, $3, $4] = rate($4, $5, $6)
	if ($2 > rounds)
		rounds = $2
	if (!($4 in jobs_seen)) {
		jobs_seen[$4] = 1
		jobs[++num_jobs] = $4
	}
}
$1 == "run" {
	ios[$2, $3, $4] = $5 * 1024 / block($4)
	speed[$2, $3, $4] = $5 / 1024 / $6 * 1000 # MiB/s
}
$1 == "count" {
	counter[$2, $3, $4, $5, $6] += $7
	domains[$5] = 1
}
$1 == "cpu" && $7 > 0 { cpu[$2, $3, $4, $5] = $6 / $7 }

END {
	if (!num_jobs || !num_disks || !threshold)
		missing("everything")
	out = sprintf("{\"boot\": \"%s\", \"cpus\": %d, \"rounds\": %d, \"jobs\": [", boot, cpus, rounds)
	for (j = 1; j <= num_jobs; j++) {
		rows = 0
		split("", line)
		out = out sprintf("%s{\"job\": \"%s\", \"unit\": \"%s\", \"disks\": [", j > 1 ? ", " : "", jobs[j], unit(jobs[j]))
		for (column_number = 1; column_number <= num_disks; column_number++) {
			column(jobs[j], disks[column_number])
			out = out sprintf("%s{\"disk\": \"%s\", %s}", column_number > 1 ? ", " : "", disks[column_number], fields)
		}
		out = out "]}"
		printf "%-30s", jobs[j]
		for (d = 1; d <= num_disks; d++)
			printf "%20s", disks[d]
		print ""
		for (r = 1; r <= rows; r++)
			printf "%-30s%s\n", order[r], line[order[r]]
		print ""
	}
	if (!granted_at["hybrid"])
		missing("a mapping as large as the threshold, which hybrid would grant")
	closing = "]}"
	aims()
	costs()
	print out closing >json
	exit bad
}
