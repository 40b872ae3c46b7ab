# SPDX-License-Identifier: MIT
# The model of bench/cost-model.md: reads the lines of vgrant-micro --json, one operation each. Prints a
# table, a line "--", and the fragment. What goes wrong is printed and has status 1.

function field(name,    rest) {
	rest = $0
	if (!sub(".*\"" name "\": *\"?", "", rest))
		return ""
	sub("[\",}].*", "", rest)
	return rest
}

/"hypervisor":/ {
	hypervisor = $0
	sub(/.*"hypervisor": *"/, "", hypervisor)
	sub(/".*/, "", hypervisor)
}

/"name":/ && /"batch":/ && /"ns":/ {
	name = $0
	sub(/.*"name": *"/, "", name)
	sub(/".*/, "", name)
	batch = field("batch") + 0
	ns = field("ns") + 0
	if (batch < 1 || ns <= 0)
		bad = "an operation has no batch, or no time: " name
	cost[name, batch] = ns
	batches[name] = batches[name] " " batch
	seen[name] = 1
}

function fail(why) {
	print file ": " why
	failed = 1
	exit 1
}

# Of a call for @n: between the nearest batches that were measured in proportion, beyond the largest as that goes on.
function call(name, n,    list, count, i, low, high) {
	count = split(batches[name], list, " ")
	low = high = 0
	for (i = 1; i <= count; i++) {
		if (list[i] <= n && list[i] > low)
			low = list[i]
		if (list[i] >= n && (!high || list[i] < high))
			high = list[i]
	}
	if (!low)
		return cost[name, high] * n / high
	if (!high)
		return cost[name, low] * n / low
	if (low == high)
		return cost[name, low]
	return cost[name, low] + (cost[name, high] - cost[name, low]) * (n - low) / (high - low)
}

# Of one, when copies of many requests go together.
function copy_each(name) { return call(name, 64) / 64 }

# A request of @n pages of data as vgrantd serves it: the counts are measured, see cost-model.md.
function copied(n) { return n * copy_each("grant copy, 4 KiB") + 3 * copy_each("grant copy, 16 B") }

function mapped(n,    ns) {
	ns = call("grant map", 1) + call("grant unmap", 1)
	ns += call("grant map", n + 1) + call("grant unmap", n + 1)
	return ns + copy_each("grant copy, 16 B")
}

function bounced(n) { return n * 4096 * memcpy }

function cheaper(n) { return copied(n) < mapped(n) ? copied(n) : mapped(n) }

# Header, status and data each have pages.
function granted(n) { return (n + 2) * grant_ns + cheaper(n) }

function us(ns) { return sprintf("%.2f", ns / 1000) }

function words(bytes) { return bytes >= 1048576 ? bytes / 1048576 " MiB" : bytes / 1024 " KiB" }

END {
	if (failed)
		exit 1
	if (bad)
		fail(bad)
	if (!hypervisor)
		fail("it does not say on which hypervisor it was measured")
	count = split("memcpy, cached|grant map|grant unmap|grant copy, 4 KiB|grant copy, 16 B", need, "|")
	for (i = 1; i <= count; i++)
		if (!(need[i] in seen))
			fail("the operation '" need[i] "' is missing: vgrant-micro must have measured against a guest")
	# In the cache, as the copies that the hypervisor makes are measured.
	memcpy = cost["memcpy, cached", 65536] / 65536
	if (!memcpy)
		fail("the operation 'memcpy, cached' has no batch of 65536")

	printf "Figures: %s (%s)\n", file, hypervisor
	if (hypervisor == "simulated")
		print "These are the SIMULATED hypervisor's costs, where a map is an mmap: no thresholds for Xen follow from them."
	print "Predicted CPU time of a request in microseconds, without what all ways have in common:\n"
	printf "  %8s | %10s %10s  %-7s | %10s %10s  %-7s\n", "request", "copied", "mapped", "", "bounced", "granted", ""
	printf "  %8s | %-30s | %-30s\n", "", "by vgrantd, what is granted", "by the guest's driver"
	copy_to = 0
	grant_from = 0
	for (n = 256; n >= 1; n /= 2) {
		if (copied(n) <= mapped(n) && n > copy_to)
			copy_to = n
		if (!never && granted(n) < bounced(n))
			grant_from = n
		else
			never = 1
	}
	for (n = 1; n <= 256; n *= 2)
		printf "  %8s | %10s %10s  %-7s | %10s %10s  %-7s\n", words(n * 4096), us(copied(n)), us(mapped(n)),
			copied(n) <= mapped(n) ? "copy" : "map", us(bounced(n)), us(granted(n)), granted(n) < bounced(n) ? "grant" : "bounce"

	# A request of so many bytes has a header and a status besides. 512 copies of a device, of twice the threshold.
	copy_max = copy_to ? copy_to * 4096 + 4096 : 0
	room = memory * 1048576 / 1024
	limit = copy_max > room
	if (limit)
		copy_max = int(room / 512) * 512
	if (copy_max > 1048576)
		copy_max = 1048576
	print ""
	if (!copy_to)
		print "vgrantd: mapping is cheaper at every size."
	else if (copy_to == 256)
		print "vgrantd: copying is cheaper up to 1 MiB at least."
	else
		print "vgrantd: copying is cheaper up to " words(copy_to * 4096) ", mapping above."
	if (limit)
		printf "  Not more than %d bytes are copied, so that the copies of a device fit into %d MiB (--memory).\n", copy_max, memory
	if (grant_from)
		print "Guests: granting is cheaper from " words(grant_from * 4096) " on, bouncing below."
	else
		print "Guests: bouncing is cheaper up to 1 MiB at least."

	print "--"
	print "# For vgrantd, from " file " (" hypervisor ")."
	print "# Read it as systemd's EnvironmentFile, and start: vgrantd $VGRANTD_OPTIONS"
	printf "VGRANTD_OPTIONS=\"--copy-max %d\"\n", copy_max
	print "# For the kernel command line of guests:"
	if (grant_from)
		printf "#   virtio_msg_xen.policy=hybrid virtio_msg_xen.threshold=%d\n", grant_from * 4096
	else
		print "#   virtio_msg_xen.policy=bounce"
}
