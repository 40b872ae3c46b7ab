// SPDX-License-Identifier: MIT
/* A side coming and going. Its runs are in side_run.c. */
#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES_PER_MIB 256u
#define SPARE_MIB     16u         /* control page, rings, and what is cut off by chunks */
#define MIN_MIB       64u         /* what xensim gives by default */
#define MIN_GRANTS    8192u       /* a guest's; likewise of what a backend maps */
#define QUOTA_SPARE   4096u       /* pages beyond a guest's data: VG_QUOTA_RESERVED, and rings */
#define IMAGE_BYTES   (64u << 20) /* of all images of a side, where each has room for a request */

static uint32_t at_least(uint32_t least, uint64_t value)
{
	return value < least ? least : (uint32_t)value;
}

void side_domains(const struct point *p, unsigned int first, struct domain *domains)
{
	uint64_t pages = point_pages(p);
	uint32_t mib = at_least(MIN_MIB, pages / PAGES_PER_MIB + SPARE_MIB);

	domains[0] = (struct domain){
		.id = first,
		.name = p->way->whole_guest ? "privileged" : "driver",
		.privileged = p->way->whole_guest,
	};
	for (unsigned int i = 1; i <= p->guests; i++)
		domains[i] = (struct domain){
			.id = first + i,
			.name = "guest",
			.mem_mib = mib,
			.grants = at_least(MIN_GRANTS, pages + SPARE_MIB * PAGES_PER_MIB),
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

static int start_daemon(struct side *side)
{
	const struct point *p = &side->point;
	char poll_us[16], max_pages[16], total_pages[24], pages[24], log[PATH_LEN];
	const char *args[] = {"--poll-us",
			      poll_us,
			      "--max-pages",
			      max_pages,
			      "--total-pages",
			      total_pages,
			      p->way->copy_max ? "--copy-max" : NULL,
			      p->way->copy_max,
			      NULL};
	const struct program program = {
		.name = side->log,
		.path = p->way->daemon,
		.args = args,
		.env_name = p->way->whole_guest ? "VGRANT_FOREIGN_PAGES" : NULL,
		.env_value = pages,
	};
	uint64_t quota = point_pages(p) + QUOTA_SPARE;
	int err;

	snprintf(poll_us, sizeof(poll_us), "%u", p->poll_us);
	snprintf(max_pages, sizeof(max_pages), "%" PRIu64, quota);
	snprintf(total_pages, sizeof(total_pages), "%" PRIu64, quota * p->guests);
	snprintf(pages, sizeof(pages), "%u", side->guest_pages);
	err = machine_start_in(side->machine, side->backend, &program, &side->daemon);
	machine_log(side->machine, side->log, log);
	for (unsigned int i = 0; !err && !serving(log); i++) {
		if (i == LIMIT_MS / 10)
			err = -ETIMEDOUT;
		else if (proc_ended(side->daemon.pid))
			err = -EOWNERDEAD;
		else if (proc_interrupted())
			err = -EINTR;
		proc_sleep_ms(10);
	}
	return err;
}

/* ---- disks ---- */

/* Bytes that are there, and not holes. */
static int fill(int fd, size_t bytes)
{
	static uint8_t block[1 << 16];

	memset(block, 0x5a, sizeof(block));
	for (size_t done = 0; done < bytes; done += sizeof(block))
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			return errno ? -errno : -ENOSPC;
	return 0;
}

/* Makes the disk of guest @index; its path in the backend's domain goes to @path. */
static int make_image(struct side *side, unsigned int index, char path[PATH_LEN])
{
	struct guest *g = &side->guest[index];
	size_t bytes = at_least(side->point.work.size, IMAGE_BYTES / side->point.guests);
	int err;

	if (side->point.work.engine == ENGINE_MEMORY) {
		g->image = memfd_create("vgrant-bench", MFD_CLOEXEC);
		snprintf(path, PATH_LEN, "/proc/%d/fd/%d", getpid(), g->image);
	} else {
		snprintf(path, PATH_LEN, "%.512s/disk%u", side->machine->dir, g->domid);
		g->image = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (g->image < 0)
		return -errno;
	err = fill(g->image, bytes);
	/* What is to be measured is not the writing of this. */
	if (!err && side->point.work.engine == ENGINE_FILE && fsync(g->image))
		err = -errno;
	return err;
}

static int attach(struct side *side, unsigned int index)
{
	char guest[16], backend[16], queues[16], path[PATH_LEN];
	bool null = side->point.work.engine == ENGINE_NULL;
	const char *const args[] = {"attach",
				    guest,
				    "--backend",
				    backend,
				    "--vdev",
				    SIDE_VDEV,
				    "--timeout",
				    "60",
				    "--queues",
				    queues,
				    null ? "--engine" : "--image",
				    null ? "null" : path,
				    null ? "--size" : NULL,
				    "1G",
				    NULL};
	int err = null ? 0 : make_image(side, index, path);

	if (err)
		return complain(err, "cannot make a disk: %s", strerror(-err));
	snprintf(guest, sizeof(guest), "%u", side->guest[index].domid);
	snprintf(backend, sizeof(backend), "%u", side->backend);
	snprintf(queues, sizeof(queues), "%u", side->point.work.queues);
	return machine_ctl(side->machine, args, NULL);
}

/* ---- the guests ---- */

static int start_driver(struct side *side, unsigned int index)
{
	const struct point *p = &side->point;
	char size[16], depth[16], queues[16], ring[16], buffers[16], name[64];
	const char *args[20] = {"drive",
				"--mode",
				p->policy->mode,
				"--op",
				operation_names[p->work.op],
				"--size",
				size,
				"--depth",
				depth,
				"--queues",
				queues,
				"--queue-size",
				ring,
				"--buffers",
				buffers,
				"--timeout",
				"60000"};
	const struct program program = {
		.name = name,
		.path = "tests/guest/vgguest",
		.args = args,
		.pipes = true,
		.host = &side->daemon,
	};
	unsigned int arg = 17;

	snprintf(name, sizeof(name), "%s-guest%u", side->log, index);
	snprintf(size, sizeof(size), "%u", p->work.size);
	snprintf(depth, sizeof(depth), "%u", p->work.depth);
	snprintf(queues, sizeof(queues), "%u", p->work.queues);
	snprintf(ring, sizeof(ring), "%u", work_ring(&p->work));
	snprintf(buffers, sizeof(buffers), "%u", point_buffers(p));
	/* Guests that never sleep would take each other's CPU time. */
	if (p->poll_us && p->guests == 1)
		args[arg++] = "--poll";
	if (p->way->whole_guest)
		args[arg] = "--foreign";
	return machine_start_in(side->machine, side->guest[index].domid, &program,
				&side->guest[index].driver);
}

/* Waits until its device is up. */
static int await_driver(struct side *side, unsigned int index)
{
	struct guest *g = &side->guest[index];
	char *line;
	int err = proc_line(&g->driver, &line, LIMIT_MS);

	if (!err)
		err = -clock_getcpuclockid(g->driver.pid, &g->driver_clock);
	if (err) {
		char name[64];

		snprintf(name, sizeof(name), "%s-guest%u", side->log, index);
		machine_show_log(side->machine, name);
	}
	return err;
}

/* A worker is called by the domain that it serves. 0: it is no worker. */
static unsigned int serves(pid_t pid)
{
	char path[64];
	unsigned int domid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "vgrantd-g%u", &domid) != 1)
		domid = 0;
	fclose(file);
	return domid;
}

static int find_workers(struct side *side)
{
	unsigned int found = 0;
	char path[64];
	FILE *file;
	pid_t pid;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", side->daemon.pid,
		 side->daemon.pid);
	file = fopen(path, "re");
	if (!file)
		return complain(-errno, "cannot read %s: %s", path, strerror(errno));
	while (!err && fscanf(file, "%d", &pid) == 1) {
		unsigned int index = serves(pid) - side->guest[0].domid;

		if (index >= side->point.guests)
			continue;
		side->guest[index].worker = pid;
		err = -clock_getcpuclockid(pid, &side->guest[index].worker_clock);
		found++;
	}
	fclose(file);
	if (!err && found != side->point.guests)
		err = complain(-ESRCH, "the backend has %u workers for %u guests", found,
			       side->point.guests);
	return err;
}

static int start_guests(struct side *side)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < side->point.guests; i++)
		err = proc_interrupted() ? -EINTR : attach(side, i);
	for (unsigned int i = 0; !err && i < side->point.guests; i++)
		err = start_driver(side, i);
	for (unsigned int i = 0; !err && i < side->point.guests; i++)
		err = await_driver(side, i);
	if (!err)
		err = find_workers(side);
	for (unsigned int i = 0; !err && i < side->point.guests; i++) {
		err = place_guest(side->place, side->point.poll_us, i, side->guest[i].driver.pid);
		if (!err)
			err = place_worker(side->place, side->point.poll_us, i,
					   side->guest[i].worker);
	}
	return err;
}

int side_start(struct side *side, const struct point *p, const struct machine *machine,
	       const struct place *place, const struct domain *domains)
{
	char name[POINT_NAME_MAX];
	int err = 0;

	*side = (struct side){
		.point = *p,
		.machine = machine,
		.place = place,
		.backend = domains[0].id,
		.guest_pages = domains[1].mem_mib * PAGES_PER_MIB,
		.daemon = {.in = -1, .out = -1},
		.guest = calloc(p->guests, sizeof(*side->guest)),
	};
	snprintf(side->log, sizeof(side->log), "backend%u", side->backend);
	if (!side->guest)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int i = 0; i < p->guests; i++)
		side->guest[i] = (struct guest){
			.domid = domains[i + 1].id, .image = -1, .driver = {.in = -1, .out = -1}};
	err = start_daemon(side);
	if (!err)
		err = start_guests(side);
	if (!err)
		return 0;
	complain(err, "the side %s does not start: %s", point_name(p, NULL, name),
		 err == -EOWNERDEAD ? "vgrantd has ended" : strerror(-err));
	machine_show_log(machine, side->log);
	side_stop(side);
	return err;
}

void side_stop(struct side *side)
{
	int sig;

	if (!side->guest)
		return;
	/* Each ends at the end of its input, if it has a backend; then all are waited for. */
	sig = proc_ended(side->daemon.pid) ? SIGKILL : 0;
	for (unsigned int i = 0; i < side->point.guests; i++)
		proc_end_input(&side->guest[i].driver);
	for (unsigned int i = 0; i < side->point.guests; i++) {
		proc_stop(&side->guest[i].driver, sig, LIMIT_MS);
		if (side->guest[i].image >= 0)
			close(side->guest[i].image);
	}
	proc_stop(&side->daemon, SIGTERM, LIMIT_MS);
	free(side->guest);
	*side = (struct side){.point = side->point};
}
