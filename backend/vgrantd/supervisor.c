// SPDX-License-Identifier: MIT
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "workers.h"

/* epoll sources; those of workers are numbered from SOURCE_WORKERS. */
#define SOURCE_STORE   1
#define SOURCE_SIGNALS 2
#define SOURCE_WORKERS 16

#define SOURCES_PER_TURN 32
/* Watch events taken in one turn. A guest can cause any number; they only mark nodes. */
#define EVENTS_PER_TURN 512
/* For all guests to be let go of. Longer than a worker may take for DETACH and then for its end. */
#define STOP_MS 45000

/* libxenstore does not tell of a lost connection: it is tried so often. */
#define ALIVE_MS 10000

#define TOKEN_BACKEND "backend"
#define TOKEN_RELEASE "release"

static const char *const kinds[] = {VG_KIND_DISK, VG_KIND_VIRTIO};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Takes a decimal number that is at most @max off *text, and a '/' after it when there is one. */
static bool take_number(const char **text, uint32_t max, uint32_t *value)
{
	uint64_t sum = 0;
	const char *p = *text;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		sum = sum * 10 + (uint64_t)(*p - '0');
		if (sum > max)
			return false;
	}
	if (*p && *p != '/')
		return false;
	*text = *p ? p + 1 : p;
	*value = (uint32_t)sum;
	return true;
}

/* Xen's DOMID_FIRST_RESERVED. */
#define DOMID_MAX 0x7fef

static void mark(struct vgd_supervisor *sup, const char *kind, uint32_t domid, bool all)
{
	for (struct vgd_node *node = sup->nodes; node; node = node->next) {
		if (all || (node->domid == domid && !strcmp(node->kind, kind)))
			node->dirty = true;
	}
}

/* A change in backend/@kind/, at @rest: "GUEST/DEVID/KEY" or less of it. */
static void own_event(struct vgd_supervisor *sup, const char *kind, const char *rest)
{
	struct vgd_node *node;
	uint32_t domid, devid;

	if (!*rest) {
		sup->rescan = true;
		return;
	}
	if (!take_number(&rest, DOMID_MAX, &domid))
		return;
	if (!*rest) { /* made or removed with all that is in it */
		mark(sup, kind, domid, false);
		return;
	}
	if (!take_number(&rest, UINT32_MAX, &devid))
		return;
	node = vgd_node_get(sup, kind, (uint16_t)domid, devid);
	if (!node) {
		vg_err(sup->log, "dom%u %u: no memory for the device", domid, devid);
		return;
	}
	if (!strcmp(rest, VGD_KEY_STATS_REQUEST))
		node->stats_dirty = true;
	if (!*rest || !strcmp(rest, "state") || !strcmp(rest, "online") || node->phase == VGD_NEW)
		node->dirty = true;
}

static void event(struct vgd_supervisor *sup, const char *path, const char *token)
{
	if (!strcmp(token, TOKEN_RELEASE)) {
		mark(sup, NULL, 0, true);
		return;
	}
	if (!strcmp(token, TOKEN_BACKEND)) {
		for (unsigned int i = 0; i < KINDS; i++) {
			size_t len = strlen(kinds[i]);

			if (!strncmp(path, "backend/", 8) && !strncmp(path + 8, kinds[i], len) &&
			    (!path[8 + len] || path[8 + len] == '/'))
				own_event(sup, kinds[i],
					  path[8 + len] ? path + 8 + len + 1 : path + 8 + len);
		}
		return;
	}
	for (struct vgd_node *node = sup->nodes; node; node = node->next) {
		if (!strcmp(node->token, token))
			node->dirty = true;
	}
}

/* Returns negative errno when xenstored has gone. */
static int events(struct vgd_supervisor *sup)
{
	char path[VG_STORE_PATH_MAX], token[64];

	for (unsigned int i = 0; i < EVENTS_PER_TURN; i++) {
		int rc = vg_store_next_event(sup->store, path, sizeof(path), token, sizeof(token));

		if (rc == -EAGAIN)
			return 0;
		if (rc == -ENAMETOOLONG)
			continue; /* below a node that we watch; no key of ours is so long */
		if (rc)
			return rc;
		event(sup, path, token);
	}
	return 0;
}

/* Lists backend/@kind: what was there before we came, or appeared without an event of its own. */
static void scan(struct vgd_supervisor *sup, const char *kind)
{
	char path[VG_STORE_PATH_MAX];
	char **guests = NULL;
	int count;

	if (vg_store_path(path, "backend/%s", kind))
		return;
	count = vg_store_list(sup->store, path, &guests);
	for (int i = 0; i < count; i++) {
		const char *text = guests[i];
		char **devices = NULL;
		uint32_t domid, devid;
		int n;

		if (!take_number(&text, DOMID_MAX, &domid) || *text ||
		    vg_store_path(path, "backend/%s/%u", kind, domid))
			continue;
		n = vg_store_list(sup->store, path, &devices);
		for (int j = 0; j < n; j++) {
			text = devices[j];
			if (take_number(&text, UINT32_MAX, &devid) && !*text)
				vgd_node_get(sup, kind, (uint16_t)domid, devid);
		}
		if (n >= 0)
			free(devices);
		mark(sup, kind, domid, false);
	}
	if (count >= 0)
		free(guests);
}

static void begin_stop(struct vgd_supervisor *sup)
{
	if (sup->stopping)
		return;
	vg_info(sup->log, "ending: all devices are detached");
	sup->stopping = true;
	sup->stop_deadline_ms = sup->now_ms + STOP_MS;
	sup->alive_ms = sup->now_ms;
	mark(sup, NULL, 0, true);
}

static void signals(struct vgd_supervisor *sup)
{
	struct signalfd_siginfo info;

	while (read(sup->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			begin_stop(sup);
	}
	vgd_workers_reap(sup);
}

/* Runs what is marked or due, and frees what is done with. */
static void run_nodes(struct vgd_supervisor *sup)
{
	struct vgd_node **link = &sup->nodes;

	while (*link) {
		struct vgd_node *node = *link;

		if (node->dirty || vgd_node_deadline(node) <= sup->now_ms) {
			node->dirty = false;
			vgd_node_run(node);
		}
		if (!node->dead && node->stats_dirty)
			vgd_node_stats_request(node);
		if (node->dead) {
			*link = node->next;
			vgd_node_free(node);
		} else {
			link = &node->next;
		}
	}
}

/* When the next node wants to run: at once for one that another has marked. */
static uint64_t nodes_deadline(const struct vgd_supervisor *sup)
{
	uint64_t next = VGD_NEVER;

	for (const struct vgd_node *node = sup->nodes; node; node = node->next) {
		uint64_t deadline = node->dirty ? 0 : vgd_node_deadline(node);

		if (deadline < next)
			next = deadline;
	}
	return next;
}

/* 0, or -EIO: xenstored has gone. Any answer will do. */
static int check_alive(struct vgd_supervisor *sup)
{
	uint32_t domid;

	if (sup->now_ms < sup->alive_ms)
		return 0;
	sup->alive_ms = sup->now_ms + ALIVE_MS;
	return vg_store_read_u32(sup->store, "domid", UINT32_MAX, &domid) == -EIO ? -EIO : 0;
}

/* Milliseconds for epoll_wait(). */
static int timers(struct vgd_supervisor *sup)
{
	uint64_t next, workers;

	if (sup->rescan) {
		sup->rescan = false;
		for (unsigned int i = 0; i < KINDS; i++)
			scan(sup, kinds[i]);
		mark(sup, NULL, 0, true);
	}
	run_nodes(sup);
	next = nodes_deadline(sup);
	workers = vgd_workers_timers(sup);
	if (workers < next)
		next = workers;
	if (sup->stopping && sup->stop_deadline_ms < next)
		next = sup->stop_deadline_ms;
	if (sup->alive_ms < next)
		next = sup->alive_ms;
	if (next <= sup->now_ms)
		return 0;
	return next - sup->now_ms < INT16_MAX ? (int)(next - sup->now_ms) : INT16_MAX;
}

static int turn(struct vgd_supervisor *sup, int timeout)
{
	struct epoll_event ready[SOURCES_PER_TURN];
	int n, rc = 0;

	n = epoll_wait(sup->epoll, ready, SOURCES_PER_TURN, timeout);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	sup->now_ms = now_ms();
	for (int i = 0; i < n && !rc; i++) {
		if (ready[i].data.u64 == SOURCE_STORE)
			rc = events(sup);
		else if (ready[i].data.u64 == SOURCE_SIGNALS)
			signals(sup);
		else
			vgd_workers_readable(sup, ready[i].data.u64);
	}
	return rc;
}

static int add_source(struct vgd_supervisor *sup, int fd, uint64_t source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};

	return epoll_ctl(sup->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Before anything that may start a thread: all threads are to leave the signals to us. */
static int open_signals(struct vgd_supervisor *sup)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL))
		return -errno;
	sup->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return sup->signals < 0 ? -errno : 0;
}

/*
 * Two in one domain would fight over every directory. An abstract name goes with its process,
 * however that ends; it has xenstored's socket in it because that is what tells the domains of a
 * simulated hypervisor apart.
 */
static int claim(struct vgd_supervisor *sup)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t room = sizeof(address.sun_path) - 1 - sizeof("vgrantd:");
	const char *store = getenv("XENSTORED_PATH");
	size_t len = store ? strlen(store) : 0;

	if (len > room) /* the end of a path tells more than its beginning */
		store += len - room;
	len = (size_t)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "vgrantd:%s",
			       store ? store : "");
	sup->claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sup->claim < 0)
		return -errno;
	if (!bind(sup->claim, (const struct sockaddr *)&address,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)))
		return 0;
	return -errno;
}

static int watch(struct vgd_supervisor *sup)
{
	char path[VG_STORE_PATH_MAX];

	for (unsigned int i = 0; i < KINDS; i++) {
		int rc = vg_store_path(path, "backend/%s", kinds[i]);

		if (!rc)
			rc = vg_store_watch(sup->store, path, TOKEN_BACKEND);
		if (rc)
			return rc;
	}
	/* A domain that may not watch it finds out by its guests' directories. */
	vg_store_watch(sup->store, "@releaseDomain", TOKEN_RELEASE);
	return 0;
}

/* Without it nobody polls, and all else works. Opened last: its descriptor must not be one of the
 * low ones that a worker finds its own at (workers.c). */
static void open_budget(struct vgd_supervisor *sup)
{
	int rc = 0;

	if (!sup->options->poll_us)
		return;
	sup->budget_fd = vg_budget_create();
	if (sup->budget_fd >= 0)
		rc = vg_budget_open(&sup->budget, sup->budget_fd, vg_budget_slots());
	if (sup->budget_fd < 0 || rc) {
		vg_warn(sup->log, "no busy polling: there is no memory for its budget (%s)",
			strerror(sup->budget_fd < 0 ? -sup->budget_fd : -rc));
		if (sup->budget_fd >= 0)
			close(sup->budget_fd);
		sup->budget_fd = -1;
	} else if (!sup->budget.slots) {
		vg_warn(sup->log, "no busy polling: this domain has one CPU");
	}
}

static int set_up(struct vgd_supervisor *sup)
{
	int rc = open_signals(sup);

	if (rc)
		goto fail;
	sup->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sup->epoll < 0) {
		rc = -errno;
		goto fail;
	}
	rc = vg_store_open(sup->log, &sup->store);
	if (rc)
		return rc; /* said */
	rc = claim(sup);
	if (rc == -EADDRINUSE) {
		vg_err(sup->log, "another vgrantd runs in this domain already");
		return rc;
	}
	if (!rc)
		rc = add_source(sup, vg_store_fd(sup->store), SOURCE_STORE);
	if (!rc)
		rc = add_source(sup, sup->signals, SOURCE_SIGNALS);
	if (!rc)
		rc = watch(sup);
	if (!rc) {
		open_budget(sup);
		return 0;
	}
fail:
	vg_err(sup->log, "cannot start: %s", strerror(-rc));
	return rc;
}

static int serve(struct vgd_supervisor *sup)
{
	int rc = 0;

	while (!rc) {
		int timeout;

		sup->now_ms = now_ms();
		rc = check_alive(sup);
		if (rc)
			break;
		timeout = timers(sup);
		if (sup->stopping && !sup->nodes && !sup->workers)
			break;
		if (sup->stopping && sup->now_ms >= sup->stop_deadline_ms) {
			vg_err(sup->log, "ending, though not every device could be let go of");
			return -ETIMEDOUT;
		}
		rc = turn(sup, timeout);
	}
	if (rc)
		vg_err(sup->log, "ending: %s",
		       rc == -EIO ? "the connection to xenstored is lost" : strerror(-rc));
	return rc;
}

int vgd_supervise(const struct vgrantd_options *options, const struct vg_log *log)
{
	struct vgd_supervisor sup = {
		.options = options,
		.log = log,
		.epoll = -1,
		.signals = -1,
		.claim = -1,
		.budget_fd = -1,
		.budget = {.held = -1},
		.next_device = 1,
		.next_source = SOURCE_WORKERS,
		.next_cookie = 1,
		.now_ms = now_ms(),
		.rescan = true,
	};
	int rc = set_up(&sup);

	if (!rc) {
		vg_info(log, "serving");
		rc = serve(&sup);
	}
	vgd_workers_destroy(&sup);
	while (sup.nodes) {
		struct vgd_node *node = sup.nodes;

		sup.nodes = node->next;
		vgd_node_free(node);
	}
	vg_store_close(sup.store);
	if (sup.claim >= 0)
		close(sup.claim);
	vg_budget_close(&sup.budget);
	if (sup.budget_fd >= 0)
		close(sup.budget_fd);
	if (sup.signals >= 0)
		close(sup.signals);
	if (sup.epoll >= 0)
		close(sup.epoll);
	return rc ? 1 : 0;
}
