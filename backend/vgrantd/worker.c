// SPDX-License-Identifier: MIT
/* A worker's set-up, and its devices coming and going. The hot path is in loop.c. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vgrantd/worker_internal.h"

#define IO_ENTRIES 256

#define MAX_REQUESTS 512

#define TABLE_BYTES (128 * 1024) /* what is larger gets pages of its own */

/* ---- to the supervisor ---- */

void worker_answer(struct worker *w, const struct vg_ipc_msg *msg)
{
	int ret = vg_ipc_send(w->options->socket, msg, -1);

	if (ret && !w->over) {
		vg_err(w->log, "the supervisor does not answer (%s): letting go of all devices",
		       strerror(-ret));
		w->over = true;
		for (struct served *s = w->served; s; s = s->next) {
			s->ending = true;
			s->leave = true;
		}
	}
}

static void answer_result(struct worker *w, enum vg_ipc_type type, uint32_t device, int error,
			  const char *words)
{
	struct vg_ipc_msg msg;

	if (words)
		vg_ipc_result_init(&msg, type, device, error, "%s", words);
	else
		vg_ipc_result_init(&msg, type, device, error, NULL);
	worker_answer(w, &msg);
}

static void answer_attached(struct worker *w, const struct served *s)
{
	struct vg_ipc_msg msg;

	vg_ipc_result_init(&msg, VG_IPC_ATTACHED, s->id, 0, NULL);
	msg.u.result.ioreq = s->mmio ? vg_ioreq_id(w->ioreq) : VG_IOREQ_NONE;
	worker_answer(w, &msg);
}

static void answer_detached(struct worker *w, uint32_t device)
{
	worker_answer(w, &(struct vg_ipc_msg){.type = VG_IPC_DETACHED, .device = device});
}

/* ---- a device ---- */

/* Nothing may be in flight. */
static void served_free(struct worker *w, struct served *s)
{
	vg_xenbus_conn_close(s->conn);
	if (s->bus == VG_IPC_BUS_MMIO)
		worker_mmio_close(w, s, s->leave);
	vg_blk_destroy(s->blk);
	vg_view_destroy(s->view);
	if (s->image >= 0)
		close(s->image);
	free(s);
}

static int hold_region(void *ring, void VG_GUEST *base, size_t len)
{
	return vg_io_buffer_hold(ring, base, len);
}

static bool release_region(void *ring, int handle)
{
	return vg_io_buffer_release(ring, handle);
}

static int open_view(struct worker *w, struct served *s, const struct vg_ipc_attach *a)
{
	struct vg_view_config config = {
		.domid = w->options->domid,
		.gnttab = w->gnttab,
		.quota = &w->quota,
		.policy = {.copy_max = w->options->copy_max, .map_max = VG_REQUEST_BYTES},
		.max_requests = MAX_REQUESTS,
		.log = w->log,
	};

	/* The kernel pins what lies in regions once, where there is a disk to move it. */
	if (w->options->register_regions && w->io && a->engine == VG_IPC_ENGINE_FILE)
		config.holder = (struct vg_region_holder){hold_region, release_region, w->io};
	return vg_view_create(&config, &s->view);
}

static int open_blk(struct worker *w, struct served *s, const struct vg_ipc_attach *a)
{
	const struct vg_blk_config config = {
		.view = s->view,
		.io = w->io,
		.engine = a->engine == VG_IPC_ENGINE_NULL ? VG_BLK_ENGINE_NULL : VG_BLK_ENGINE_FILE,
		.fd = s->image,
		.read_only = a->read_only,
		.null_size = a->null_size,
		.queues = a->queues,
		.serial = a->serial,
		.log = w->log,
		.label = s->label,
	};
	int ret = vg_blk_create(&config, &s->blk);

	if (!ret)
		s->dev = vg_blk_device(s->blk);
	return ret;
}

static int open_conn(struct worker *w, struct served *s, const struct vg_ipc_attach *a)
{
	const struct vg_xenbus_conn_config config = {
		.domid = w->options->domid,
		.control_ref = a->control_ref,
		.remote_port = a->remote_port,
		.gnttab = w->gnttab,
		.evtchn = w->evtchn,
		.quota = &w->quota,
		.view = s->view,
		.device = s->dev,
		.log = w->log,
		.label = s->label,
	};

	return vg_xenbus_conn_open(&config, &s->conn);
}

static const char *mmio_words(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return "virtio-mmio needs device-model privilege over the guest, which this domain "
		       "does not have: use dom0, or virtio-msg";
	case -EOPNOTSUPP:
		return "virtio-mmio needs IOREQ servers, which this Xen was built without "
		       "(CONFIG_IOREQ_SERVER)";
	case -EBUSY:
		return "an earlier vgrantd still serves the guest";
	case -EEXIST:
		return "another device of the guest has the same address (base)";
	case -ENOMEM:
		return "the driver domain is out of memory";
	default:
		return "the guest's IOREQ server cannot be set up (see vgrantd's log)";
	}
}

/* What a failed attach means for the person who reads the log. */
static const char *attach_words(const struct served *s, int error)
{
	if (!s->view || !s->dev)
		return error == -ENOMEM ? "the driver domain is out of memory"
					: "the image cannot be served (see vgrantd's log)";
	if (s->bus == VG_IPC_BUS_MMIO)
		return mmio_words(error);
	switch (error) {
	case -EPROTO:
		return "the frontend's control page is not one of this protocol: does the guest "
		       "run the vgrant frontend?";
	case -EFAULT:
		return "the frontend's control page is not granted to this domain";
	case -EDQUOT:
		return "the guest is at its quota of mapped pages: raise --max-pages";
	case -EINVAL:
	case -EPERM:
		return "the frontend's event channel is not offered to this domain";
	case -ENOMEM:
		return "the driver domain is out of memory";
	default:
		return "the frontend's connection cannot be opened (see vgrantd's log)";
	}
}

static void attach(struct worker *w, const struct vg_ipc_msg *msg, int image)
{
	const struct vg_ipc_attach *a = &msg->u.attach;
	struct served *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (!s) {
		if (image >= 0)
			close(image);
		answer_result(w, VG_IPC_ATTACHED, msg->device, ret,
			      "the driver domain is out of memory");
		return;
	}
	s->id = msg->device;
	s->image = image;
	s->bus = a->bus;
	s->worker = w;
	memcpy(s->label, a->label, sizeof(s->label));
	ret = open_view(w, s, a);
	if (!ret)
		ret = open_blk(w, s, a);
	if (!ret && s->bus == VG_IPC_BUS_MMIO)
		ret = worker_mmio_open(w, s, a);
	else if (!ret)
		ret = open_conn(w, s, a);
	if (ret) {
		/* What was taken over from an earlier worker stays for a later one. */
		s->leave = w->ioreq && vg_ioreq_adopted(w->ioreq);
		answer_result(w, VG_IPC_ATTACHED, msg->device, ret, attach_words(s, ret));
		served_free(w, s);
		return;
	}
	s->next = w->served;
	w->served = s;
	answer_attached(w, s);
}

struct served *worker_find(struct worker *w, uint32_t id)
{
	struct served *s = w->served;

	while (s && s->id != id)
		s = s->next;
	return s;
}

static void detach(struct worker *w, uint32_t id, bool leave)
{
	struct served *s = worker_find(w, id);

	if (!s) {
		answer_detached(w, id);
		return;
	}
	s->ending = true;
	s->answer = true;
	s->leave = leave;
}

/* The channel of a device's interrupt. */
static void bind_port(struct worker *w, uint32_t id, uint32_t port)
{
	struct served *s = worker_find(w, id);
	int ret = s && s->mmio ? worker_mmio_bind(w, s, port) : -ENOENT;

	answer_result(w, VG_IPC_BOUND, id, ret,
		      ret ? "the frontend's event channel is not offered to this domain" : NULL);
}

void worker_fail(struct worker *w, struct served *s, const char *why)
{
	vg_warn(w->log, "%s: %s; the connection ends", s->label, why);
	s->ending = true;
	s->failed = true;
}

void worker_bury(struct worker *w)
{
	struct served **at = &w->served;

	while (*at) {
		struct served *s = *at;
		uint32_t id = s->id;
		bool failed = s->failed, waited_for = s->answer;

		if (!s->ending || !vg_device_stop(s->dev) || !vg_view_let_go(s->view)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		served_free(w, s);
		/* Only now: what is answered must be true. */
		if (waited_for)
			answer_detached(w, id);
		else if (failed)
			answer_result(w, VG_IPC_FAILED, id, -EPROTO,
				      "the frontend broke the protocol of the control page");
	}
}

/* ---- from the supervisor ---- */

static void shut_down(struct worker *w, bool answered)
{
	w->over = true;
	for (struct served *s = w->served; s; s = s->next) {
		s->ending = true;
		s->answer = answered;
		s->leave = true;
	}
}

void worker_receive(struct worker *w)
{
	for (;;) {
		struct vg_ipc_msg msg;
		int fd = -1;
		int ret = vg_ipc_recv(w->options->socket, &msg, &fd);

		if (ret == -EBADMSG)
			continue;
		if (ret == -EAGAIN)
			return;
		if (ret) {
			/* The end of file stays readable: look at it no more. */
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->options->socket, NULL);
			shut_down(w, false);
			return;
		}
		switch (msg.type) {
		case VG_IPC_ATTACH:
			attach(w, &msg, fd);
			fd = -1;
			break;
		case VG_IPC_DETACH:
			detach(w, msg.device, false);
			break;
		case VG_IPC_LEAVE:
			detach(w, msg.device, true);
			break;
		case VG_IPC_STATE:
			worker_mmio_state(w, msg.device, fd);
			fd = -1;
			break;
		case VG_IPC_PORT:
			bind_port(w, msg.device, msg.u.port);
			break;
		case VG_IPC_GET_STATS:
			worker_report_stats(w, msg.device, msg.u.cookie);
			break;
		case VG_IPC_SHUTDOWN:
			shut_down(w, true);
			break;
		default:
			break;
		}
		if (fd >= 0)
			close(fd);
	}
}

/* ---- set-up ---- */

static int watch_fd(const struct worker *w, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* Started from /proc/self/exe, it would be called "exe" in ps. */
static void set_name(const struct worker *w)
{
	char name[16];

	snprintf(name, sizeof(name), "vgrantd-g%u", w->options->domid);
	prctl(PR_SET_NAME, name);
}

/* Opens all that the worker will ever have, and then gives up what it can. */
static int set_up(struct worker *w)
{
	int ret;

	set_name(w);
	/*
	 * Little of a device's tables is ever touched. glibc, left alone, takes them from its heap
	 * once some have been freed, clears and so touches all of them, and keeps them.
	 */
	mallopt(M_MMAP_THRESHOLD, TABLE_BYTES);
	/* The terminal's Ctrl-C and a service manager's SIGTERM are the supervisor's business. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write past a limit is that write's error */
	ret = vg_gnttab_open(w->log, &w->gnttab);
	if (ret)
		return ret;
	ret = vg_evtchn_open(w->log, &w->evtchn);
	if (ret)
		return ret;
	ret = vg_evtchn_restrict(w->evtchn, w->options->domid);
	if (ret)
		vg_warn(w->log,
			"event channels cannot be restricted to dom%u (%s): going on without",
			w->options->domid, strerror(-ret));
	if (vg_io_ring_open(IO_ENTRIES, w->options->register_regions, w->log, &w->io))
		w->io = NULL;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	ret = watch_fd(w, w->options->socket);
	if (!ret)
		ret = watch_fd(w, vg_evtchn_fd(w->evtchn));
	if (!ret && w->io)
		ret = watch_fd(w, vg_io_ring_fd(w->io));
	if (!ret && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		ret = -errno;
	return ret;
}

int vgrantd_worker(const struct vgrantd_worker_options *options)
{
	struct worker w = {
		.options = options,
		.log = options->log,
		.quota = {.max_pages = options->max_pages,
			  .reserved = VG_QUOTA_RESERVED(options->max_pages)},
		.poll = {.max = (uint64_t)options->poll_us * 1000},
		.budget = {.held = -1},
		.epoll = -1,
		.state_fd = -1,
	};
	int ret = set_up(&w);

	if (!ret && options->budget_fd) {
		ret = vg_budget_open(&w.budget, options->budget_fd, options->budget_slots);
		close(options->budget_fd);
	}
	if (ret)
		vg_err(w.log, "the worker of dom%u cannot start: %s", options->domid,
		       strerror(-ret));
	else
		worker_loop(&w);
	if (w.epoll >= 0)
		close(w.epoll);
	vg_budget_close(&w.budget);
	worker_mmio_state(&w, 0, -1);
	vg_io_ring_close(w.io);
	vg_evtchn_close(w.evtchn);
	vg_gnttab_close(w.gnttab);
	close(options->socket);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
