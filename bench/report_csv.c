// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

static const char head[] =
	"group,way,policy,engine,op,size,depth,queues,span,poll_us,guests,run_seconds,requests,"
	"requests_per_second.median,requests_per_second.low,requests_per_second.high,"
	"gb_per_second.median,gb_per_second.low,gb_per_second.high,"
	"latency_ns.p50,latency_ns.p99,latency_ns.p999,latency_ns.max,"
	"cpu_share.backend,cpu_share.guest,"
	"per_request.backend_cpu_ns,per_request.guest_cpu_ns,per_request.grant_operations,"
	"per_request.bytes_copied_by_hypervisor,per_request.bytes_copied_by_guest,"
	"per_request.bytes_zeroed_by_guest,per_request.system_calls,per_request.notifications,"
	"pages_reachable,guest_pages,slowest_guest,idle.pss_bytes,idle.cpu_share\n";

static void numbers(FILE *file, const double *value, unsigned int n, bool there)
{
	for (unsigned int i = 0; i < n; i++)
		if (there)
			fprintf(file, ",%.6g", value[i]);
		else
			fputc(',', file);
}

static void line(FILE *file, const struct result *r)
{
	const struct point *p = &r->point;
	const struct work *w = &p->work;
	const struct histogram *h = r->latency;
	const double rates[] = {r->rates.median, r->rates.low, r->rates.high};
	const double bytes[] = {gb_per_second(r, r->rates.median), gb_per_second(r, r->rates.low),
				gb_per_second(r, r->rates.high)};
	const double latency[] = {(double)histogram_quantile(h, 0.5),
				  (double)histogram_quantile(h, 0.99),
				  (double)histogram_quantile(h, 0.999), (double)h->max};
	const double costs[] = {r->backend_share,
				r->guest_share,
				1e9 * r->backend_cpu,
				1e9 * r->guest_cpu,
				r->costs.grant_ops,
				r->costs.bytes_copied,
				r->costs.bytes_bounced,
				r->costs.bytes_zeroed,
				r->costs.system_calls,
				r->costs.notifications,
				(double)r->pages_reached,
				(double)r->guest_pages,
				r->slowest};
	const double idle[] = {r->idle.pss_bytes, r->idle.cpu_share};

	fprintf(file, "%u,%s,%s,%s,%s,%u,%u,%u,%u,%u,%u,%.6g,%" PRIu64, p->group, p->way->name,
		p->policy->name, engine_names[w->engine], operation_names[w->op], w->size, w->depth,
		w->queues, w->span, p->poll_us, p->guests, r->seconds, r->requests);
	numbers(file, rates, 3, true);
	numbers(file, bytes, 3, has_bytes(r));
	numbers(file, latency, 4, has_latency(r));
	numbers(file, costs, sizeof(costs) / sizeof(costs[0]), point_has_device(p));
	numbers(file, idle, 2, r->watched);
	fputc('\n', file);
}

int report_csv(const struct report *r, FILE *file, const char *path)
{
	fputs(head, file);
	for (unsigned int i = 0; i < r->n; i++)
		line(file, &r->result[i]);
	if (!fflush(file) && !ferror(file))
		return 0;
	return complain(-EIO, "cannot write %s: %s", path, strerror(errno));
}
