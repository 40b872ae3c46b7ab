# SPDX-License-Identifier: MIT
# Makes a table (standard output) and JSON (the file named by -v json=) of what lib/measure.sh wrote.
# Status 1: something that every disk must have is missing. Variables: boot, cpus, json.

function missing(what) {
	print "missing: " what
	bad = 1
	return 0
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
function unit(job) { return block(job) >= 1048576 ? "MiB/s" : "I/O per s" }
function rate(job, kib, ms) { return kib * 1024 / (block(job) >= 1048576 ? 1048576 : block(job)) / ms * 1000 }

# Which domain serves a disk, and what its process is called there.
function server(disk) { return disk == "qdisk" ? "dom0" : "driver" }
function process(disk) { return disk == "vgrant" ? "(vgrantd|vgrantd-g[0-9]+)" : disk == "qdisk" ? "xen-qemu-system" : "[0-9]+[.]xvd.-[0-9]+" }

# The sum of the counters of a domain whose name fits, in one pass, for one I/O.
function count(pass, disk, job, domain, pattern,    key, part, sum, seen) {
	if (!ios[pass, disk, job])
		return missing(pass " pass of " disk ", " job)
	for (key in counter) {
		split(key, part, SUBSEP)
		if (part[1] == pass && part[2] == disk && part[3] == job && part[4] == domain && part[5] ~ pattern) {
			sum += counter[key]
			seen = 1
		}
	}
	if (!seen && !may_be_none)
		return missing("counter " pattern " of " domain ", " pass " pass of " disk ", " job)
	return sum / ios[pass, disk, job]
}

function field(name, value) { fields = fields sprintf("%s\"%s\": %.6g", fields == "" ? "" : ", ", name, value) }

function row(words, name, format, value) {
	if (!(words in line)) {
		order[++rows] = words
		line[words] = ""
	}
	line[words] = line[words] sprintf("%22s", sprintf(format, value))
	field(name, value)
}

function plain_row(words, text) {
	if (!(words in line)) {
		order[++rows] = words
		line[words] = ""
	}
	line[words] = line[words] sprintf("%22s", text)
}

# Median and quartiles of list[1..n] as a cell and as a JSON object.
function spread(words, name, n, format,    m, lo, hi) {
	m = quantile(n, 0.5)
	lo = quantile(n, 0.25)
	hi = quantile(n, 0.75)
	plain_row(words, sprintf(format " [" format " " format "]", m, lo, hi))
	fields = fields sprintf("%s\"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", fields == "" ? "" : ", ", name, m, lo, hi)
}

function column(job, disk,    n, r, d, p) {
	fields = ""
	n = 0
	for (r = 1; r <= rounds; r++)
		if ((r, disk, job) in timed)
			list[++n] = timed[r, disk, job]
	if (n < rounds)
		return missing("timed rounds of " disk ", " job)
	spread(unit(job), "rate", n, "%.0f")
	for (r = 1; r <= rounds; r++)
		list[r] = timed[r, "vgrant", job] / timed[r, disk, job]
	spread("vgrant / this", "vgrant_ratio", rounds, "%.2f")

	d = server(disk)
	p = process(disk)
	row("requests on the ring", "ring_requests", "%.2f", count("plain", disk, job, "g1", "^requests:" device[disk] "$"))
	row("guest: grants made", "guest_grants", "%.2f", count("traced", disk, job, "g1", "^grant-calls$"))
	row("guest: grants ended", "guest_ends", "%.2f", count("traced", disk, job, "g1", "^end-calls$"))
	row("guest: events sent", "guest_sends", "%.3f", count("traced", disk, job, "g1", "^send-calls$"))
	row("guest: interrupts", "guest_interrupts", "%.3f", count("plain", disk, job, "g1", "^irq:(blkif|virt)"))
	row("backend: pages mapped", "map_ops", "%.2f", count("traced", disk, job, d, "^k?map-ops$"))
	row("backend: pages unmapped", "unmap_ops", "%.2f", count("traced", disk, job, d, "^k?unmap-ops$"))
	row("backend: grant copies", "copy_ops", "%.2f", count("traced", disk, job, d, "^copy-ops$"))
	row("backend: hypercalls for these", "grant_calls", "%.3f", count("traced", disk, job, d, "^(k?map|k?unmap|copy)-calls$"))
	row("backend: events sent", "backend_sends", "%.3f", disk ~ /^blkback/ ? count("traced", disk, job, d, "^send-calls$") : calls("^syscalls:" p ":44504$", disk, job))
	row("backend: system calls", "system_calls", "%.3f", calls("^raw_syscalls:" p ":", disk, job))
	row("backend: interrupts", "backend_interrupts", "%.3f", count("plain", disk, job, d, disk ~ /^blkback/ ? "^irq:blkif-backend$" : "^irq:evtchn:" p "$"))
	row("CPU us: guest", "cpu_us_guest", "%.1f", cpu_us(disk, job, "g1"))
	row("CPU us: driver domain", "cpu_us_driver", "%.1f", cpu_us(disk, job, "driver"))
	row("CPU us: dom0", "cpu_us_dom0", "%.1f", cpu_us(disk, job, "Domain-0"))
	row("speed while traced", "traced_speed", "%.2f", speed["traced", disk, job] / speed["plain", disk, job])
	return 1
}

# System calls: a process that made none has no line.
function calls(pattern, disk, job,    n) {
	may_be_none = 1
	n = count("traced", disk, job, server(disk), pattern)
	may_be_none = 0
	return n
}

function cpu_us(disk, job, domain) {
	if (!(("plain", disk, job, domain) in cpu))
		return missing("CPU time of " domain " for " disk ", " job)
	return cpu["plain", disk, job, domain] * 1e6 / (speed["plain", disk, job] * 1048576 / block(job))
}

$1 == "device" { device[$2] = $3 }
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
$1 == "count" { counter[$2, $3, $4, $5, $6] += $7 }
$1 == "cpu" && $7 > 0 { cpu[$2, $3, $4, $5] = $6 / $7 }
$1 == "device" && !($2 in disks_seen) {
	disks_seen[$2] = 1
	disks[++num_disks] = $2
}

END {
	if (!num_jobs || !num_disks)
		missing("everything")
	out = sprintf("{\"boot\": \"%s\", \"cpus\": %d, \"rounds\": %d, \"jobs\": [", boot, cpus, rounds)
	for (j = 1; j <= num_jobs; j++) {
		rows = 0
		split("", line)
		out = out sprintf("%s{\"job\": \"%s\", \"unit\": \"%s\", \"disks\": [", j > 1 ? ", " : "", jobs[j], unit(jobs[j]))
		for (d = 1; d <= num_disks; d++) {
			column(jobs[j], disks[d])
			out = out sprintf("%s{\"disk\": \"%s\", %s}", d > 1 ? ", " : "", disks[d], fields)
		}
		out = out "]}"
		printf "%-30s", jobs[j]
		for (d = 1; d <= num_disks; d++)
			printf "%22s", disks[d]
		print ""
		for (r = 1; r <= rows; r++)
			printf "%-30s%s\n", order[r], line[order[r]]
		print ""
	}
	print out "]}" >json
	exit bad
}
