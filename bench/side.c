// SPDX-License-Identifier: MIT
#include "side.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define VDEV        "xvda"
#define PAGE        4096u
#define MIB         (UINT64_C(1) << 20)
#define SPARE_MIB   16u    /* rings, headers, indirect tables, and what is cut off by chunks */
#define MIN_MIB     64u    /* what xensim gives by default */
#define MIN_GRANTS  32768u /* likewise */
#define RUN_SPARE_S 60     /* a run that takes so much longer than asked for has failed */
#define RUN_LIMIT_S 600

const struct way way_region = {.name = "region", .daemon = "backend/vgrantd/vgrantd"};
const struct way way_foreign = {
	.name = "foreign", .daemon = "bench/vgrantd-foreign", .whole_guest = true};

static uint32_t guest_mib(const struct workload *work)
{
	uint64_t data = (uint64_t)work->size * work->depth;
	uint32_t mib = (uint32_t)((data + MIB - 1) / MIB) + SPARE_MIB;

	return mib < MIN_MIB ? MIN_MIB : mib;
}

static uint32_t at_least(uint32_t least, uint64_t value)
{
	return value < least ? least : (uint32_t)value;
}

void side_domains(const struct way *way, const struct workload *work, unsigned int first,
		  struct domain domains[2])
{
	uint32_t mib = guest_mib(work), pages = (uint32_t)(mib * MIB / PAGE);

	domains[0] = (struct domain){
		.id = first,
		.name = way->whole_guest ? "privileged" : "driver",
		.privileged = way->whole_guest,
	};
	domains[1] = (struct domain){
		.id = first + 1,
		.name = way->whole_guest ? "guest-foreign" : "guest-region",
		.mem_mib = mib,
		.grants = at_least(MIN_GRANTS, pages),
	};
}

/* ---- the backend ---- */

static bool serving(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, "vgrantd: serving", 16);
	if (file)
		fclose(file);
	return found;
}

static int start_daemon(struct side *side, const struct workload *work)
{
	char poll_us[16], max_pages[16], pages[24], log[PATH_LEN];
	const char *const args[] = {"--poll-us", poll_us, "--max-pages", max_pages, NULL};
	const struct program program = {
		.name = side->daemon_log,
		.path = side->way->daemon,
		.args = args,
		.env_name = side->way->whole_guest ? "VGRANT_FOREIGN_PAGES" : NULL,
		.env_value = pages,
	};
	int err;

	snprintf(poll_us, sizeof(poll_us), "%u", work->poll_us);
	snprintf(max_pages, sizeof(max_pages), "%" PRIu64, side->guest_pages);
	snprintf(pages, sizeof(pages), "%" PRIu64, side->guest_pages);
	err = machine_start_in(side->machine, side->backend, &program, &side->daemon);
	machine_log(side->machine, side->daemon_log, log);
	for (unsigned int i = 0; !err && !serving(log); i++) {
		if (i == LIMIT_MS / 10)
			err = -ETIMEDOUT;
		else if (proc_interrupted())
			err = -EINTR;
		proc_sleep_ms(10);
	}
	return err;
}

static int attach(struct side *side)
{
	char guest[16], backend[16], answer[ANSWER_LEN];
	const char *const args[] = {"attach",    guest,    "--backend", backend,  "--engine",
				    "null",      "--size", "1G",        "--vdev", VDEV,
				    "--timeout", "60",     NULL};

	snprintf(guest, sizeof(guest), "%u", side->guest);
	snprintf(backend, sizeof(backend), "%u", side->backend);
	return machine_ctl(side->machine, args, answer);
}

/* The worker is the daemon's only child: it serves one guest. */
static int find_worker(struct side *side)
{
	char path[64];
	FILE *file;
	pid_t pid;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", side->daemon.pid,
		 side->daemon.pid);
	file = fopen(path, "re");
	if (!file)
		return complain(-errno, "cannot read %s: %s", path, strerror(errno));
	n = fscanf(file, "%d", &pid);
	fclose(file);
	if (n != 1)
		return complain(-ESRCH, "the backend of the side %s has no worker",
				side->way->name);
	return -clock_getcpuclockid(pid, &side->worker_clock);
}

/* ---- the guest ---- */

static int start_driver(struct side *side, const struct workload *work)
{
	char size[16], depth[16], ring[16], line[512];
	const char *args[] = {"drive",        "--size", size, "--depth", depth,
			      "--queue-size", ring,     NULL, NULL,      NULL};
	const struct program program = {
		.name = side->guest_log,
		.path = "tests/guest/vgguest",
		.args = args,
		.pipes = true,
	};
	unsigned int arg = 7, entries = 128;
	int err;

	while (entries < work->depth)
		entries *= 2;
	snprintf(size, sizeof(size), "%u", work->size);
	snprintf(depth, sizeof(depth), "%u", work->depth);
	snprintf(ring, sizeof(ring), "%u", entries);
	if (work->poll_us)
		args[arg++] = "--poll";
	if (side->way->whole_guest)
		args[arg] = "--foreign";
	err = machine_start_in(side->machine, side->guest, &program, &side->driver);
	if (!err)
		err = proc_line(&side->driver, line, sizeof(line), LIMIT_MS);
	if (!err)
		err = -clock_getcpuclockid(side->driver.pid, &side->driver_clock);
	return err;
}

int side_start(struct side *side, const struct way *way, const struct workload *work,
	       const struct machine *machine, const struct domain domains[2])
{
	int err;

	*side = (struct side){
		.way = way,
		.machine = machine,
		.backend = domains[0].id,
		.guest = domains[1].id,
		.guest_pages = domains[1].mem_mib * MIB / PAGE,
		.daemon = {.in = -1, .out = -1},
		.driver = {.in = -1, .out = -1},
	};
	snprintf(side->daemon_log, sizeof(side->daemon_log), "backend-%s", way->name);
	snprintf(side->guest_log, sizeof(side->guest_log), "guest-%s", way->name);
	err = start_daemon(side, work);
	if (!err)
		err = attach(side);
	if (!err)
		err = start_driver(side, work);
	if (!err)
		err = find_worker(side);
	if (!err)
		return 0;
	complain(err, "the side %s does not start: %s", way->name, strerror(-err));
	machine_show_log(machine, side->daemon_log);
	machine_show_log(machine, side->guest_log);
	side_stop(side);
	return err;
}

void side_stop(struct side *side)
{
	if (!side || !side->way)
		return;
	proc_stop(&side->driver, 0, LIMIT_MS);
	proc_stop(&side->daemon, SIGTERM, LIMIT_MS);
}

/* ---- runs ---- */

static double clock_seconds(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int parse_run(const char *line, struct run *run)
{
	json_int_t requests, kicks;
	json_t *root = json_loads(line, 0, NULL);
	int bad = json_unpack(root, "{s:I, s:I, s:F}", "requests", &requests, "kicks", &kicks,
			      "seconds", &run->seconds);

	json_decref(root);
	if (bad || requests <= 0 || run->seconds <= 0)
		return -EPROTO;
	run->requests = (uint64_t)requests;
	run->kicks = (uint64_t)kicks;
	return 0;
}

int side_run(struct side *side, const struct workload *work, struct run *run)
{
	double backend = clock_seconds(side->worker_clock);
	double guest = clock_seconds(side->driver_clock);
	unsigned int limit_s =
		work->seconds > 0 ? RUN_SPARE_S + (unsigned int)work->seconds : RUN_LIMIT_S;
	char line[512];
	int err;

	if (work->seconds > 0)
		snprintf(line, sizeof(line), "ms %u\n", (unsigned int)(work->seconds * 1000 + 0.5));
	else
		snprintf(line, sizeof(line), "requests %" PRIu64 "\n", work->requests);
	*run = (struct run){0};
	err = proc_send(&side->driver, line);
	if (!err)
		err = proc_line(&side->driver, line, sizeof(line), limit_s * 1000);
	if (!err)
		err = parse_run(line, run);
	run->backend_cpu = clock_seconds(side->worker_clock) - backend;
	run->guest_cpu = clock_seconds(side->driver_clock) - guest;
	if (!err)
		return 0;
	complain(err, "a run of the side %s has failed: %s", side->way->name, strerror(-err));
	machine_show_log(side->machine, side->guest_log);
	machine_show_log(side->machine, side->daemon_log);
	return err;
}

/* ---- what the backend counted ---- */

static int counter(const json_t *stats, const char *name, uint64_t *sum)
{
	const json_t *value = json_object_get(stats, name);

	if (!json_is_integer(value))
		return complain(-EPROTO, "vgrantctl stats names no figure '%s'", name);
	*sum += (uint64_t)json_integer_value(value);
	return 0;
}

static int parse_counters(const char *text, struct counters *c)
{
	json_t *root = json_loads(text, 0, NULL);
	const json_t *stats = json_object_get(json_array_get(root, 0), "stats");
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
		{"pages-reached", &c->pages_reached},
	};
	int err = 0;

	*c = (struct counters){0};
	for (size_t i = 0; !err && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		err = counter(stats, wanted[i].name, wanted[i].sum);
	json_decref(root);
	return err;
}

int side_counters(const struct side *side, struct counters *counters)
{
	char guest[16], answer[ANSWER_LEN];
	const char *const args[] = {"stats", guest, VDEV, "--json", "--timeout", "60", NULL};
	int err;

	snprintf(guest, sizeof(guest), "%u", side->guest);
	err = machine_ctl(side->machine, args, answer);
	return err ? err : parse_counters(answer, counters);
}
