// SPDX-License-Identifier: MIT
/* Runs of a side, and what its backend counts. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "side.h"

#define RUN_SPARE_S 60 /* a run that takes so much longer than asked for has failed */
#define TRIES       3  /* of a run in which no request is completed in time, each so much longer */
#define LONGER      4
#define LEAD_NS                                                                                    \
	500000 /* from telling the guests when to begin until then; and for each of them           \
		*/
#define LEAD_EACH_NS 100000

static double clock_seconds(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void add_cpu(const struct side *side, unsigned int guests, double sign, struct run *run)
{
	for (unsigned int i = 0; i < guests; i++) {
		run->backend_cpu += sign * clock_seconds(side->guest[i].worker_clock);
		run->guest_cpu += sign * clock_seconds(side->guest[i].driver_clock);
	}
}

/* What one guest says of its run. */
static int parse_run(const char *line, struct run *run, uint64_t *in_window)
{
	json_int_t requests, in_time, kicks, bounced, zeroed;
	json_t *root = json_loads(line, 0, NULL);
	int bad = json_unpack(root, "{s:I, s:I, s:I, s:I, s:I}", "requests", &requests, "in_window",
			      &in_time, "kicks", &kicks, "bytes_bounced", &bounced, "bytes_zeroed",
			      &zeroed);

	json_decref(root);
	if (bad)
		return -EPROTO;
	*in_window = (uint64_t)in_time;
	run->requests += (uint64_t)requests;
	run->in_time += (uint64_t)in_time;
	run->kicks += (uint64_t)kicks;
	run->bytes_bounced += (uint64_t)bounced;
	run->bytes_zeroed += (uint64_t)zeroed;
	return 0;
}

static int parse_latency(const char *line, struct histogram *latency)
{
	json_t *root = json_loads(line, 0, NULL), *list = NULL, *pair;
	json_int_t max, least, times;
	size_t i;
	int bad = json_unpack(root, "{s:I, s:o}", "max", &max, "histogram", &list);

	json_array_foreach(list, i, pair)
	{
		bad |= json_unpack(pair, "[I, I]", &least, &times);
		if (bad)
			break;
		histogram_add(latency, (uint64_t)least, (uint64_t)times);
	}
	if (!bad && (uint64_t)max > latency->max)
		latency->max = (uint64_t)max;
	json_decref(root);
	return bad ? -EPROTO : 0;
}

static int ask_latency(struct side *side, unsigned int guests, struct histogram *latency)
{
	char *line;
	int err = 0;

	for (unsigned int i = 0; !err && i < guests; i++)
		err = proc_send(&side->guest[i].driver, "latency\n");
	for (unsigned int i = 0; !err && i < guests; i++) {
		err = proc_line(&side->guest[i].driver, &line, LIMIT_MS);
		if (!err)
			err = parse_latency(line, latency);
	}
	return err;
}

/* All guests get the same window, so that each has all others beside it all the time. */
static int ask_run(struct side *side, unsigned int guests, struct run *run)
{
	uint64_t begin = proc_now_ns() + LEAD_NS + (uint64_t)guests * LEAD_EACH_NS;
	uint64_t end = begin + (uint64_t)(run->seconds * 1e9), least = UINT64_MAX, in_window = 0;
	unsigned int limit_ms = (RUN_SPARE_S + (unsigned int)run->seconds) * 1000;
	char text[80], *line;
	int err = 0;

	snprintf(text, sizeof(text), "window %" PRIu64 " %" PRIu64 "\n", begin, end);
	for (unsigned int i = 0; !err && i < guests; i++)
		err = proc_send(&side->guest[i].driver, text);
	for (unsigned int i = 0; !err && i < guests; i++) {
		err = proc_line(&side->guest[i].driver, &line, limit_ms);
		if (!err)
			err = parse_run(line, run, &in_window);
		if (in_window < least)
			least = in_window;
	}
	if (err)
		return err;
	if (!run->in_time)
		return -ETIME;
	run->slowest = (double)least * guests / (double)run->in_time;
	return 0;
}

int side_run(struct side *side, unsigned int guests, double seconds, struct run *run,
	     struct histogram *latency)
{
	char name[POINT_NAME_MAX];
	int err = -ETIME;

	*run = (struct run){0};
	add_cpu(side, guests, -1, run);
	for (unsigned int i = 0; err == -ETIME && i < TRIES; i++, seconds *= LONGER) {
		run->seconds = seconds;
		err = ask_run(side, guests, run);
	}
	add_cpu(side, guests, 1, run);
	if (!err)
		err = ask_latency(side, guests, latency);
	if (!err)
		return 0;
	point_name(&side->point, NULL, name);
	if (err == -ETIME)
		complain(err, "the guests of %s complete no request in %.3g s: give --seconds more",
			 name, run->seconds);
	else if (err == -EOWNERDEAD)
		complain(err, "vgrantd has ended in a run of %s", name);
	else
		complain(err, "a run of %s has failed: %s", name, strerror(-err));
	machine_show_log(side->machine, side->log);
	return err;
}

/* ---- what the backend counted ---- */

/* How often a worker's counters name a system call. */
static const struct {
	const char *name;
	unsigned int calls;
} system_calls[] = {
	{"worker-looks", 1},       /* epoll_wait */
	{"worker-event-reads", 1}, /* read */
	{"worker-events", 1},      /* unmask */
	{"notifications-sent", 1}, /* ioctl */
	{"copy-calls", 1},         /* ioctl */
	{"map-ops", 2},            /* ioctl, mmap */
	{"unmap-ops", 3},          /* ioctl, munmap, ioctl */
	{"worker-submits", 1},     /* io_uring_enter */
};

static int figure(const json_t *stats, const char *name, unsigned int times, uint64_t *sum)
{
	const json_t *value = json_object_get(stats, name);

	if (!json_is_integer(value))
		return complain(-EPROTO, "vgrantctl stats names no figure '%s'", name);
	*sum += times * (uint64_t)json_integer_value(value);
	return 0;
}

static int add_counters(const json_t *stats, struct counters *c)
{
	uint64_t reached = 0;
	const struct {
		const char *name;
		uint64_t *sum;
	} wanted[] = {
		{"requests", &c->requests},
		{"errors", &c->errors},
		{"faults", &c->errors},
		{"map-ops", &c->grant_ops},
		{"unmap-ops", &c->grant_ops},
		{"copy-ops", &c->grant_ops},
		{"notifications-sent", &c->notifications},
		{"bytes-copied", &c->bytes_copied},
		{"pages-reached", &reached},
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		err = figure(stats, wanted[i].name, 1, wanted[i].sum);
	for (size_t i = 0; !err && i < sizeof(system_calls) / sizeof(system_calls[0]); i++)
		err = figure(stats, system_calls[i].name, system_calls[i].calls, &c->system_calls);
	if (reached > c->pages_reached)
		c->pages_reached = reached;
	return err;
}

/* One guest is asked for by name; of many, all of the machine come at once. */
int side_counters(const struct side *side, unsigned int guests, struct counters *counters)
{
	char domid[16];
	const char *one[] = {"stats", domid, SIDE_VDEV, "--json", "--timeout", "60", NULL};
	const char *all[] = {"stats", "--json", "--timeout", "60", NULL};
	unsigned int found = 0;
	char *text;
	json_t *root, *device;
	size_t i;
	int err;

	snprintf(domid, sizeof(domid), "%u", side->guest[0].domid);
	err = machine_ctl(side->machine, guests == 1 ? one : all, &text);
	if (err)
		return err;
	root = json_loads(text, 0, NULL);
	free(text);
	*counters = (struct counters){0};
	json_array_foreach(root, i, device)
	{
		unsigned int id =
			(unsigned int)json_integer_value(json_object_get(device, "domain"));

		if (err || id - side->guest[0].domid >= guests)
			continue;
		err = add_counters(json_object_get(device, "stats"), counters);
		found++;
	}
	json_decref(root);
	if (!err && found != guests)
		err = complain(-EPROTO, "vgrantctl stats tells of %u guests instead of %u", found,
			       guests);
	return err;
}

/* ---- idle ---- */

static int pss_bytes(pid_t pid, double *bytes)
{
	unsigned long kib = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "Pss: %lu kB", &kib) != 1) {
	}
	if (file)
		fclose(file);
	if (!kib)
		return complain(-ENOENT, "%s does not say how much memory a worker has", path);
	*bytes += (double)kib * 1024;
	return 0;
}

int side_idle(const struct side *side, double seconds, struct idle *idle)
{
	unsigned int n = side->point.guests;
	struct run cpu = {0};
	clockid_t daemon;
	int err = -clock_getcpuclockid(side->daemon.pid, &daemon);

	*idle = (struct idle){0};
	if (err)
		return err;
	add_cpu(side, n, -1, &cpu);
	cpu.backend_cpu -= clock_seconds(daemon);
	proc_sleep_ms((unsigned int)(seconds * 1000));
	add_cpu(side, n, 1, &cpu);
	cpu.backend_cpu += clock_seconds(daemon);
	/* Sums of hours, in floating point: no time at all may come out as a little less. */
	idle->cpu_share = fmax(cpu.backend_cpu / seconds, 0);
	for (unsigned int i = 0; !err && i < n; i++)
		err = pss_bytes(side->guest[i].worker, &idle->pss_bytes);
	idle->pss_bytes /= n;
	return err ? err : proc_interrupted() ? -EINTR : 0;
}
