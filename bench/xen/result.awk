# SPDX-License-Identifier: MIT
# Of the lines of vgrant-bench-xen: a table, and JSON as vgrant-bench's (bench/README.md), of which the keys
# are there that can be told from outside the guest's and the backend's programs.
#   run ROUND POLICY OP BYTES DEPTH KIB MS P50 P99 P999
#   count ROUND POLICY OP BYTES DEPTH NAME DIFFERENCE VALUE

# A point is its operation, bytes, depth and policy; those that differ in the policy only are compared.
$1 == "run" {
	key = $4 SUBSEP $5 SUBSEP $6 SUBSEP $3
	if (!(key in runs)) {
		order[++points] = key
		if (!(($4, $5, $6) in first))
			first[$4, $5, $6] = points
	}
	n = ++runs[key]
	rate[key, n] = $7 * 1024 / $5 / $8 * 1000
	p50[key, n] = $9
	p99[key, n] = $10
	p999[key, n] = $11
	rounds = $2 > rounds ? $2 : rounds
}

$1 == "count" {
	count[$4, $5, $6, $3, $7] += $8
	value[$4, $5, $6, $3, $7] = $9
}

# Sorts v[1 … n], few as they are.
function sort(v, n,    i, j, t) {
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i - 1; j >= 1 && v[j] > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
}

# Between the two nearest values, in proportion.
function quantile(v, n, q,    at, below) {
	at = q * (n - 1) + 1
	below = int(at)
	if (below >= n)
		return v[n]
	return v[below] + (at - below) * (v[below + 1] - v[below])
}

# Into low, median, high.
function spread(of, key, n,    i) {
	for (i = 1; i <= n; i++)
		v[i] = of[key, i]
	sort(v, n)
	low = quantile(v, n, 0.25)
	median = quantile(v, n, 0.5)
	high = quantile(v, n, 0.75)
}

function each(key, name) { return requests[key] ? count[key, name] / requests[key] : 0 }

# By what happened: nothing is granted, copied only, or mapped.
function way(key) {
	if (each(key, "map-ops") > 0.01)
		return "map-batch"
	return each(key, "copy-ops") > 0.01 ? "copy" : "region"
}

# The same of all that a policy did, whatever it was: so that its points keep one name.
function way_of(policy,    p, of, found, is) {
	found = "region"
	for (p = 1; p <= points; p++) {
		split(order[p], of, SUBSEP)
		if (of[4] != policy)
			continue
		is = way(order[p])
		if (is == "map-batch" || found == "region")
			found = is
	}
	return found
}

function put(text) {
	if (json)
		printf "%s", text >json
}

END {
	if (!points) {
		print "nothing was measured"
		exit 1
	}
	put(sprintf("{\"format\": 2, \"hypervisor\": \"Xen %s\", \"machine\": {\"cpu\": \"%s\", \"kernel\": \"%s\"}, \"scheduler\": \"Xen's\", \"cpu_time\": \"%s\", \"run_seconds\": %s, \"rounds\": %d, \"spread\": \"quartiles\", \"points\": [",
		xen, cpu, kernel, cpu_time, seconds, rounds))
	printf "%-5s %9s %5s %-8s %-9s %10s %18s %9s %9s %9s %7s %7s %7s %8s %8s\n", "op", "bytes", "depth", "policy", "reached", "requests/s", "half of the runs", "p50 us", "p99 us", "p99.9 us", "maps", "copies", "sends", "guest us", "backend"
	for (p = 1; p <= points; p++)
		requests[order[p]] = count[order[p], "requests"]
	for (p = 1; p <= points; p++) {
		key = order[p]
		split(key, of, SUBSEP)
		n = runs[key]
		if (requests[key] < 1) {
			print "vgrantd has counted no request of the policy " of[4]
			exit 1
		}
		spread(p50, key, n); m50 = median
		spread(p99, key, n); m99 = median
		spread(p999, key, n); m999 = median
		spread(rate, key, n)
		guest_ns = each(key, "guest-cpu") * 1e9
		backend_ns = each(key, "backend-cpu") * 1e9
		printf "%-5s %9d %5d %-8s %-9s %10.0f %8.0f to %-8.0f %8.0f %9.0f %9.0f %7.2f %7.2f %7.2f %8.1f %8.1f\n", of[1], of[2], of[3], of[4], way(key), median, low, high, m50, m99, m999,
			each(key, "map-ops"), each(key, "copy-ops"), each(key, "notifications-sent"), guest_ns / 1000, backend_ns / 1000
		put(sprintf("%s\n {\"group\": %d, \"way\": \"%s\", \"policy\": \"%s\", \"engine\": \"disk\", \"op\": \"%s\", \"size\": %d, \"depth\": %d, \"queues\": 1, \"poll_us\": 0, \"guests\": 1, \"requests\": %d, ",
			p > 1 ? "," : "", first[of[1], of[2], of[3]], way_of(of[4]), of[4], of[1], of[2], of[3], requests[key]))
		put(sprintf("\"requests_per_second\": {\"median\": %.1f, \"low\": %.1f, \"high\": %.1f}, \"gb_per_second\": {\"median\": %.6f, \"low\": %.6f, \"high\": %.6f}, ",
			median, low, high, median * of[2] / 1e9, low * of[2] / 1e9, high * of[2] / 1e9))
		put(sprintf("\"latency_ns\": {\"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f}, ", m50 * 1000, m99 * 1000, m999 * 1000))
		put(sprintf("\"per_request\": {\"backend_cpu_ns\": %.1f, \"guest_cpu_ns\": %.1f, \"grant_operations\": %.4f, \"bytes_copied_by_hypervisor\": %.1f, \"notifications\": %.4f}, ",
			backend_ns, guest_ns, each(key, "map-ops") + each(key, "unmap-ops") + each(key, "copy-ops"), each(key, "bytes-copied"), each(key, "notifications-sent")))
		put(sprintf("\"pages_reachable\": %d, \"guest_pages\": %d, \"slowest_guest\": 1}", value[key, "pages-reached"], guest_kib / 4))
	}
	put("],\n\"comparisons\": [")
	print ""
	comma = ""
	for (p = 1; p <= points; p++) {
		key = order[p]
		split(key, of, SUBSEP)
		b = first[of[1], of[2], of[3]]
		if (p == b)
			continue
		n = runs[key]
		split(order[b], other, SUBSEP)
		for (i = 1; i <= n; i++)
			ratio[key, i] = rate[key, i] / rate[order[b], i]
		spread(ratio, key, n)
		differs = median - 1 >= high - low || 1 - median >= high - low
		# Of one pair there is no spread to judge by.
		if (n < 3)
			differs = 0
		printf "%s / %s, %ss of %d bytes, depth %d: %.3f, half of the pairs from %.3f to %.3f%s\n", of[4], other[4], of[1], of[2], of[3], median, low, high,
			differs ? "" : ": cannot tell which is faster"
		put(sprintf("%s\n {\"name\": \"%s/%s\", \"a\": %d, \"b\": %d, \"size\": %d, \"depth\": %d, \"pairs\": %d, \"ratio\": %.4f, \"low\": %.4f, \"high\": %.4f, \"distinguishable\": %s}",
			comma, of[4], other[4], p - 1, b - 1, of[2], of[3], n, median, low, high, differs ? "true" : "false"))
		comma = ","
	}
	put("],\n\"left_out\": []}\n")
}
