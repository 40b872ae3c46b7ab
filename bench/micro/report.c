// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../sample.h"
#include "micro.h"

/* One line of a file, without its end; "" when there is none. */
static void line_of(const char *path, const char *begins, char *text, size_t size)
{
	FILE *from = fopen(path, "re");

	text[0] = '\0';
	while (from && fgets(text, (int)size, from)) {
		text[strcspn(text, "\n\"\\")] = '\0';
		if (!strncmp(text, begins, strlen(begins)))
			break;
		text[0] = '\0';
	}
	if (from)
		fclose(from);
}

/* Where this runs, in words. */
static const char *hypervisor(void)
{
	static char text[64];
	char type[32], major[32], minor[32];

	if (getenv("XENSIM"))
		return "simulated";
	line_of("/sys/hypervisor/type", "", type, sizeof(type));
	if (strcmp(type, "xen") != 0)
		return "none";
	line_of("/sys/hypervisor/version/major", "", major, sizeof(major));
	line_of("/sys/hypervisor/version/minor", "", minor, sizeof(minor));
	snprintf(text, sizeof(text), "Xen %.8s.%.8s", major, minor);
	return text;
}

static void print_head(FILE *json)
{
	struct utsname host = {0};
	char cpu[128];

	uname(&host);
	line_of("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	printf("Hypervisor: %s. Kernel: %s. CPU: %s\n\n", hypervisor(), host.release,
	       strchr(cpu, ':') ? strchr(cpu, ':') + 2 : "unknown");
	printf("%-30s %6s   %12s  %-25s  %12s\n", "", "batch", "ns a call", "  quartiles",
	       "ns each");
	if (json)
		fprintf(json,
			"{\n  \"hypervisor\": \"%s\",\n  \"machine\": {\"kernel\": \"%s\", "
			"\"cpu\": "
			"\"%s\"},\n  \"operations\": [",
			hypervisor(), host.release, strchr(cpu, ':') ? strchr(cpu, ':') + 2 : "");
}

int micro_report(const struct micro_op *op, unsigned int n, unsigned int rounds, FILE *json)
{
	print_head(json);
	for (unsigned int i = 0; i < n; i++) {
		bool bytes = !strcmp(op[i].unit, "byte");
		struct spread ns;
		int err = sample_spread(op[i].ns, rounds, &ns);

		if (err)
			return micro_failed(err, "no memory");
		printf("%-30s %6u   %12.1f  %11.1f to %10.1f", op[i].name, op[i].each, ns.median,
		       ns.low, ns.high);
		if (bytes)
			printf("  %12.2f GB/s\n", op[i].each / ns.median);
		else
			printf("  %12.1f /%s\n", ns.median / op[i].each, op[i].unit);
		if (json)
			fprintf(json,
				"%s\n    {\"name\": \"%s\", \"batch\": %u, \"unit\": \"%s\", "
				"\"ns\": "
				"%.2f, \"low\": %.2f, \"high\": %.2f, \"ns_each\": %.4f}",
				i ? "," : "", op[i].name, op[i].each, op[i].unit, ns.median, ns.low,
				ns.high, ns.median / op[i].each);
	}
	if (json)
		fprintf(json, "\n  ],\n  \"rounds\": %u\n}\n", rounds);
	return 0;
}
