// SPDX-License-Identifier: MIT
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "supervisor.h"
#include "text.h"

/* A worker has nothing left to do when it is told to end: this is for one that hangs. */
#define LEAVE_MS 10000
/* Records taken from one worker in one turn, so that none can hold up the others. */
#define RECORDS_PER_TURN 64

/* Looks, 10 ms apart, whether a killed worker has ended when the supervisor itself ends. */
#define END_TRIES 200

#define WORKER_FD 3
#define BUDGET_FD 4

struct arguments {
	char domid[8], fd[8], pages[16], poll[16], copy[16], slots[16], budget[8];
	const char *argv[24];
};

static void arguments_fill(struct arguments *args, const struct vgd_supervisor *sup, uint16_t domid)
{
	const struct vgrantd_options *options = sup->options;
	unsigned int n = 0;

	snprintf(args->domid, sizeof(args->domid), "%u", domid);
	snprintf(args->fd, sizeof(args->fd), "%d", WORKER_FD);
	snprintf(args->pages, sizeof(args->pages), "%u", options->max_pages);
	snprintf(args->poll, sizeof(args->poll), "%u", options->poll_us);
	snprintf(args->copy, sizeof(args->copy), "%u", options->copy_max);
	args->argv[n++] = "vgrantd";
	args->argv[n++] = "--worker";
	args->argv[n++] = "--domid";
	args->argv[n++] = args->domid;
	args->argv[n++] = "--fd";
	args->argv[n++] = args->fd;
	args->argv[n++] = "--max-pages";
	args->argv[n++] = args->pages;
	args->argv[n++] = "--poll-us";
	args->argv[n++] = args->poll;
	args->argv[n++] = "--copy-max";
	args->argv[n++] = args->copy;
	if (sup->budget_fd >= 0) {
		snprintf(args->budget, sizeof(args->budget), "%d", BUDGET_FD);
		snprintf(args->slots, sizeof(args->slots), "%u", sup->budget.slots);
		args->argv[n++] = "--budget-fd";
		args->argv[n++] = args->budget;
		args->argv[n++] = "--budget-slots";
		args->argv[n++] = args->slots;
	}
	if (options->register_regions)
		args->argv[n++] = "--register-regions";
	if (options->verbose)
		args->argv[n++] = "--verbose";
	args->argv[n] = NULL;
}

/* Puts @fd where the worker expects @at. */
static bool place(int fd, int at)
{
	return fd == at ? !fcntl(fd, F_SETFD, 0) : dup2(fd, at) >= 0;
}

/*
 * Runs in the child: only async-signal-safe calls. A signal meant for the supervisor (^C reaches
 * the whole process group, a service manager all of a service) must not end a worker with requests
 * in flight: the supervisor, or the end of file that its death leaves, tells it to go.
 */
static _Noreturn void child(const struct arguments *args, int sock, int budget)
{
	/* execv() does not write through argv; its type cannot say so. */
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = args->argv};
	sigset_t mask;

	setpgid(0, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (!place(sock, WORKER_FD) || (budget >= 0 && !place(budget, BUDGET_FD)))
		_exit(127);
	if (close_range((budget >= 0 ? BUDGET_FD : WORKER_FD) + 1, ~0U, 0))
		_exit(127);
	execv("/proc/self/exe", argv.out);
	_exit(127);
}

static bool ends(const struct vgd_worker *worker)
{
	return worker->leaving || worker->killed;
}

/* Do the pages suffice for one more worker, beside all, or beside those that stay? */
static bool pages_suffice(const struct vgd_supervisor *sup, bool all)
{
	const struct vgrantd_options *options = sup->options;
	uint64_t pages = options->max_pages;

	for (const struct vgd_worker *worker = sup->workers; worker; worker = worker->next)
		pages += all || !ends(worker) ? options->max_pages : 0;
	return pages <= options->total_pages;
}

bool vgd_worker_wait(const struct vgd_supervisor *sup, uint16_t domid)
{
	bool earlier = false;

	for (const struct vgd_worker *worker = sup->workers; worker; worker = worker->next) {
		if (worker->domid != domid)
			continue;
		if (!ends(worker))
			return false;
		earlier = true;
	}
	return earlier || (!pages_suffice(sup, true) && pages_suffice(sup, false));
}

static bool pages_left(struct vgd_supervisor *sup, char *words, size_t words_size)
{
	const struct vgrantd_options *options = sup->options;

	if (pages_suffice(sup, true))
		return true;
	snprintf(words, words_size,
		 "vgrantd serves as many guests as fit into its %u pages with %u for each: raise "
		 "--total-pages or lower --max-pages",
		 options->total_pages, options->max_pages);
	return false;
}

static struct vgd_worker *start(struct vgd_supervisor *sup, uint16_t domid, char *words,
				size_t words_size)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct vgd_worker *worker;
	struct arguments args;
	int sv[2] = {-1, -1};
	pid_t pid;
	int rc;

	if (!pages_left(sup, words, words_size))
		return NULL;
	worker = calloc(1, sizeof(*worker));
	if (!worker || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
		rc = worker ? -errno : -ENOMEM;
		goto fail;
	}
	worker->source = sup->next_source++;
	event.data.u64 = worker->source;
	if (epoll_ctl(sup->epoll, EPOLL_CTL_ADD, sv[0], &event)) {
		rc = -errno;
		goto fail;
	}
	arguments_fill(&args, sup, domid);
	pid = fork();
	if (!pid)
		child(&args, sv[1], sup->budget_fd);
	if (pid < 0) {
		rc = -errno;
		goto fail;
	}
	close(sv[1]);
	worker->domid = domid;
	worker->pid = pid;
	worker->socket = sv[0];
	worker->deadline_ms = VGD_NEVER;
	worker->next = sup->workers;
	sup->workers = worker;
	vg_dbg(sup->log, "dom%u: worker %d started", domid, (int)pid);
	return worker;

fail:
	snprintf(words, words_size, "cannot start a worker process: %s", strerror(-rc));
	if (sv[0] >= 0) {
		close(sv[0]);
		close(sv[1]);
	}
	free(worker);
	return NULL;
}

struct vgd_worker *vgd_worker_get(struct vgd_supervisor *sup, uint16_t domid, char *words,
				  size_t words_size)
{
	struct vgd_worker *worker;

	for (worker = sup->workers; worker; worker = worker->next) {
		if (worker->domid == domid && !ends(worker))
			break;
	}
	if (!worker)
		worker = start(sup, domid, words, words_size);
	if (worker)
		worker->devices++;
	return worker;
}

void vgd_worker_put(struct vgd_supervisor *sup, struct vgd_worker *worker)
{
	static const struct vg_ipc_msg msg = {.type = VG_IPC_SHUTDOWN};

	if (--worker->devices || worker->leaving)
		return;
	worker->leaving = true;
	worker->deadline_ms = sup->now_ms + LEAVE_MS;
	vgd_worker_send(sup, worker, &msg, -1);
}

static void close_socket(struct vgd_supervisor *sup, struct vgd_worker *worker)
{
	if (worker->socket < 0)
		return;
	epoll_ctl(sup->epoll, EPOLL_CTL_DEL, worker->socket, NULL);
	close(worker->socket);
	worker->socket = -1;
}

void vgd_worker_kill(struct vgd_supervisor *sup, struct vgd_worker *worker, const char *why)
{
	if (worker->killed)
		return;
	vg_err(sup->log, "dom%u: worker %d is killed: %s", worker->domid, (int)worker->pid, why);
	worker->killed = true;
	worker->deadline_ms = VGD_NEVER;
	kill(worker->pid, SIGKILL);
}

int vgd_worker_send(struct vgd_supervisor *sup, struct vgd_worker *worker,
		    const struct vg_ipc_msg *msg, int fd)
{
	int rc = worker->socket < 0 ? -EPIPE : vg_ipc_send(worker->socket, msg, fd);

	/* One that has just died is found by SIGCHLD, which knows how it died. */
	if (rc && rc != -EPIPE)
		vgd_worker_kill(sup, worker, "it does not take what it is told");
	return rc;
}

static struct vgd_node *node_of(struct vgd_supervisor *sup, const struct vgd_worker *worker,
				uint32_t device)
{
	struct vgd_node *node;

	for (node = sup->nodes; node; node = node->next) {
		if (node->worker == worker && node->device == device)
			return node;
	}
	return NULL;
}

static int dispatch(struct vgd_supervisor *sup, struct vgd_worker *worker, struct vg_ipc_msg *msg)
{
	struct vgd_node *node = node_of(sup, worker, msg->device);

	switch (msg->type) {
	case VG_IPC_ATTACHED:
	case VG_IPC_FAILED:
	case VG_IPC_BOUND:
		vgd_printable(msg->u.result.words);
		break;
	case VG_IPC_DETACHED:
	case VG_IPC_STATS:
	case VG_IPC_DRIVER:
		break;
	default:
		return -EBADMSG;
	}
	/* An answer about a device that has been forgotten meanwhile is no fault. */
	if (!node)
		return 0;
	switch (msg->type) {
	case VG_IPC_ATTACHED:
		vgd_node_attached(node, &msg->u.result);
		break;
	case VG_IPC_BOUND:
		vgd_mmio_bound(node, &msg->u.result);
		break;
	case VG_IPC_DRIVER:
		vgd_mmio_driver(node, msg->u.driver);
		break;
	case VG_IPC_FAILED:
		vgd_node_failed(node, msg->u.result.words);
		break;
	case VG_IPC_DETACHED:
		vgd_node_detached(node);
		break;
	default:
		vgd_node_stats_reply(node, &msg->u.stats);
	}
	return 0;
}

/* Takes at most @limit records. Returns what ended it: -EAGAIN, -EPIPE, -EBADMSG, or 0: the limit.
 */
static int take(struct vgd_supervisor *sup, struct vgd_worker *worker, unsigned int limit)
{
	struct vg_ipc_msg msg;
	int rc = 0, fd;

	for (unsigned int i = 0; i < limit && !rc; i++) {
		if (worker->socket < 0)
			return -EPIPE;
		rc = vg_ipc_recv(worker->socket, &msg, &fd);
		if (rc)
			break;
		if (fd >= 0) { /* workers send none */
			close(fd);
			rc = -EBADMSG;
		} else {
			rc = dispatch(sup, worker, &msg);
		}
	}
	return rc;
}

void vgd_workers_readable(struct vgd_supervisor *sup, uint64_t source)
{
	struct vgd_worker *worker;
	int rc;

	for (worker = sup->workers; worker; worker = worker->next) {
		if (worker->source == source)
			break;
	}
	if (!worker)
		return;
	rc = take(sup, worker, RECORDS_PER_TURN);
	if (!rc || rc == -EAGAIN)
		return;
	/* One that closed its socket and lives on is of no use; one that is ending does this too,
	 * and is given the time of LEAVE_MS for it. */
	close_socket(sup, worker);
	if (rc == -EPIPE) {
		worker->leaving = true;
		worker->deadline_ms = sup->now_ms + LEAVE_MS;
	} else {
		vgd_worker_kill(sup, worker, "it sent what no healthy worker sends");
	}
}

static void describe_end(const struct vgd_worker *worker, int status, char *words, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(words, size, "the worker process of domain %u was ended by signal %d (%s)",
			 worker->domid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(words, size, "the worker process of domain %u ended with status %d",
			 worker->domid, WEXITSTATUS(status));
}

static void reaped(struct vgd_supervisor *sup, struct vgd_worker *worker, int status)
{
	char words[VGD_WORDS_MAX];

	/* What it said before it ended still counts. It says no more than fits into the socket. */
	while (!worker->killed && !take(sup, worker, RECORDS_PER_TURN)) {
	}
	close_socket(sup, worker);
	vg_budget_forget(&sup->budget, worker->pid);
	describe_end(worker, status, words, sizeof(words));
	if (worker->devices || (!worker->killed && status))
		vg_err(sup->log, "%s%s", words,
		       worker->devices ? ": its devices are broken until the guest opens them anew"
				       : "");
	for (struct vgd_node *node = sup->nodes; node; node = node->next) {
		if (node->worker == worker)
			vgd_node_failed(node, words);
		if (node->phase == VGD_WAIT)
			node->dirty = true;
	}
}

void vgd_workers_reap(struct vgd_supervisor *sup)
{
	struct vgd_worker **link = &sup->workers;

	while (*link) {
		struct vgd_worker *worker = *link;
		int status;

		if (waitpid(worker->pid, &status, WNOHANG) != worker->pid) {
			link = &worker->next;
			continue;
		}
		reaped(sup, worker, status);
		/* Its nodes may have started another, at the head of the list. */
		for (link = &sup->workers; *link != worker; link = &(*link)->next) {
		}
		*link = worker->next;
		free(worker);
	}
}

uint64_t vgd_workers_timers(struct vgd_supervisor *sup)
{
	uint64_t next = VGD_NEVER;

	for (struct vgd_worker *worker = sup->workers; worker; worker = worker->next) {
		if (worker->deadline_ms <= sup->now_ms)
			vgd_worker_kill(sup, worker, "it did not end in time");
		if (worker->deadline_ms < next)
			next = worker->deadline_ms;
	}
	return next;
}

void vgd_workers_destroy(struct vgd_supervisor *sup)
{
	static const struct timespec pause = {.tv_nsec = 10000000};

	while (sup->workers) {
		struct vgd_worker *worker = sup->workers;

		sup->workers = worker->next;
		close_socket(sup, worker);
		kill(worker->pid, SIGKILL);
		/* A process that waits for a dead disk ends when the disk lets it. */
		for (unsigned int i = 0; i < END_TRIES && !waitpid(worker->pid, NULL, WNOHANG); i++)
			nanosleep(&pause, NULL);
		free(worker);
	}
}
