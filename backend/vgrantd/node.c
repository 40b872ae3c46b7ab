// SPDX-License-Identifier: MIT
#include "node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgrant/mmio.h>

#include "supervisor.h"
#include "text.h"
#include "workers.h"

/* An image whose lock is held may be in the last throes of its former user. */
#define LOCK_WAIT_MS  5000
#define LOCK_RETRY_MS 100
/* A frontend that is being unplugged may flush for so long; libxl gives up after ten seconds. */
#define CLOSING_MS 5000
/* A worker answers ATTACH and DETACH within this, or is killed. Its own waits are shorter. */
#define WORKER_MS 30000
/* libxl waits for state 6 first and for the directory's end after that: it must see both. */
#define REMOVE_MS 1000
/* A frontend that could not be watched is looked at so often. */
#define LOOK_MS 5000
/* A guest that comes and goes costs a process each time. */
#define REATTACH_MS 250
/* Log lines a minute and device. */
#define LOG_LINES     20
#define LOG_WINDOW_MS 60000

void vgd_node_log(struct vgd_node *node, enum vg_log_level level, const char *fmt, ...)
{
	char text[2 * VGD_WORDS_MAX];
	va_list ap;

	if (node->sup->now_ms - node->log_from_ms >= LOG_WINDOW_MS) {
		node->log_from_ms = node->sup->now_ms;
		node->log_used = 0;
	}
	if (node->log_used > LOG_LINES)
		return;
	if (node->log_used++ == LOG_LINES) {
		vg_warn(node->sup->log, "%s: too many lines: the next within a minute",
			node->label);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vg_log(node->sup->log, level, "%s: %s", node->label, text);
}

struct vgd_node *vgd_node_get(struct vgd_supervisor *sup, const char *kind, uint16_t domid,
			      uint32_t devid)
{
	struct vgd_node *node;

	for (node = sup->nodes; node; node = node->next) {
		if (node->domid == domid && node->devid == devid && !strcmp(node->kind, kind) &&
		    !node->dead)
			return node;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->sup = sup;
	node->domid = domid;
	node->devid = devid;
	snprintf(node->kind, sizeof(node->kind), "%s", kind);
	snprintf(node->dir, sizeof(node->dir), "backend/%s/%u/%" PRIu32, kind, domid, devid);
	snprintf(node->front, sizeof(node->front), "/local/domain/%u/device/%s/%" PRIu32, domid,
		 kind, devid);
	snprintf(node->front_state, sizeof(node->front_state), "%s/state", node->front);
	snprintf(node->token, sizeof(node->token), "f/%.11s/%u/%" PRIu32, kind, domid, devid);
	snprintf(node->label, sizeof(node->label), "dom%u %" PRIu32, domid, devid);
	node->image = -1;
	node->ioreq = VG_IOREQ_NONE;
	node->deadline_ms = VGD_NEVER;
	vgd_retry_over(&node->state_retry);
	vgd_retry_over(&node->publish_retry);
	node->log_from_ms = sup->now_ms;
	node->next = sup->nodes;
	sup->nodes = node;
	return node;
}

void vgd_node_free(struct vgd_node *node)
{
	if (!node)
		return;
	if (node->watching)
		vg_store_unwatch(node->sup->store, node->front_state, node->token);
	vgd_node_close_image(node);
	free(node);
}

void vgd_node_enter(struct vgd_node *node, enum vgd_phase phase, uint64_t wait_ms)
{
	node->phase = phase;
	node->deadline_ms = wait_ms == VGD_NEVER ? VGD_NEVER : node->sup->now_ms + wait_ms;
}

/* State 6, and the directory stays: the frontend may come again. */
static void closed(struct vgd_node *node)
{
	vgd_node_close_image(node);
	vgd_node_set_state(node, VG_XENBUS_CLOSED);
	vgd_node_enter(node, VGD_CLOSED, VGD_NEVER);
}

/* The device cannot be served as the directories are. */
void vgd_node_refuse(struct vgd_node *node, const char *words)
{
	vgd_node_log(node, VG_LOG_WARN, "refused: %s", words);
	vgd_node_set_error(node, words);
	closed(node);
}

static bool watch_front(struct vgd_node *node, char *words, size_t words_size)
{
	int rc;

	if (node->watching)
		return true;
	rc = vg_store_watch(node->sup->store, node->front_state, node->token);
	if (!rc || rc == -EEXIST) {
		node->watching = true;
		return true;
	}
	if (rc == -E2BIG || rc == -ENOSPC || rc == -EDQUOT)
		snprintf(words, words_size,
			 "this domain's quota of xenstore watches is used up, each device needs "
			 "one: "
			 "raise xenstored's quota (-W, 128 by default) or use another driver "
			 "domain");
	else
		snprintf(words, words_size, "cannot watch the frontend's state: %s", strerror(-rc));
	return false;
}

static void opening(struct vgd_node *node)
{
	char words[VGD_WORDS_MAX];
	uint64_t now = node->sup->now_ms;
	int rc = 0;

	if (now < node->not_before_ms)
		return;
	if (node->config.engine == VG_IPC_ENGINE_FILE)
		rc = vgd_node_open_image(node, words, sizeof(words));
	if (rc == -EAGAIN && (now < node->deadline_ms || vgd_mmio_waits(node))) {
		node->not_before_ms = now + LOCK_RETRY_MS;
		return;
	}
	if (rc) {
		vgd_node_refuse(node, words);
		if (rc == -EAGAIN) /* in use, and perhaps not for ever */
			vgd_retry_later(node, &node->publish_retry);
		return;
	}
	if (node->config.bus == VG_IPC_BUS_MMIO) {
		vgd_node_enter(node, VGD_WAIT, VGD_NEVER);
		vgd_mmio_attach(node);
		return;
	}
	rc = vgd_node_publish(node);
	if (rc) { /* said */
		closed(node);
		if (rc != -ENOENT)
			vgd_retry_later(node, &node->publish_retry);
		return;
	}
	vgd_node_enter(node, VGD_WAIT, VGD_NEVER);
	vgd_node_log(node, VG_LOG_INFO, "offered: %s%s, waiting for the guest's driver",
		     node->config.engine == VG_IPC_ENGINE_FILE ? node->config.image
							       : "the engine null",
		     node->config.read_only ? ", read-only" : "");
}

static void begin(struct vgd_node *node)
{
	char words[VGD_WORDS_MAX];

	node->front_moved = false;
	node->replaced = false;
	node->reopen = false;
	node->attach_tries = 0;
	node->busy_tries = 0;
	vgd_retry_over(&node->state_retry);
	if (vgd_config_read(node, &node->config, words, sizeof(words))) {
		vgd_node_refuse(node, words);
		return;
	}
	vgd_node_enter(node, VGD_OPENING, LOCK_WAIT_MS);
	opening(node);
}

int vgd_node_read_front(struct vgd_node *node, const char *key, uint32_t *value)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/%s", node->front, key);

	return rc ? rc : vg_store_read_u32(node->sup->store, path, UINT32_MAX, value);
}

bool vgd_node_take_worker(struct vgd_node *node, struct vg_ipc_msg *msg)
{
	char words[VGD_WORDS_MAX];

	node->worker = vgd_worker_get(node->sup, node->domid, words, sizeof(words));
	if (!node->worker) {
		vgd_node_refuse(node, words);
		return false;
	}
	node->device = node->sup->next_device++;
	msg->device = node->device;
	return true;
}

void vgd_node_send_attach(struct vgd_node *node, struct vg_ipc_msg *msg)
{
	struct vg_ipc_attach *attach = &msg->u.attach;

	attach->kind = VG_IPC_KIND_BLK;
	attach->engine = node->config.engine;
	attach->queues = node->config.queues;
	attach->read_only = node->config.read_only;
	attach->null_size = node->config.null_size;
	memcpy(attach->label, node->label, sizeof(attach->label));
	snprintf(attach->serial, sizeof(attach->serial), "vgrant-%" PRIu32, node->devid);
	vgd_worker_send(node->sup, node->worker, msg, node->image);
	/* From here on the lock is as long-lived as the worker's use of the image. */
	if (node->image >= 0)
		close(node->image);
	node->image = -1;
}

/* State 3: the frontend has written its keys, which are read here and nowhere else. */
static void attach(struct vgd_node *node)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_ATTACH};
	struct vg_ipc_attach *attach = &msg.u.attach;
	uint32_t version = 0;

	/* The end of a worker marks this node. */
	if (vgd_worker_wait(node->sup, node->domid))
		return;
	if (vgd_node_read_front(node, VG_KEY_VERSION, &version) || version != VG_XENBUS_VERSION) {
		vgd_node_refuse(
			node, "the guest's driver speaks no version of vgrant that vgrantd knows: "
			      "its " VG_KEY_VERSION " is not 1");
		return;
	}
	if (vgd_node_read_front(node, VG_KEY_CONTROL_REF, &attach->control_ref) ||
	    vgd_node_read_front(node, VG_KEY_EVENT_CHANNEL, &attach->remote_port)) {
		vgd_node_refuse(node, "the guest's driver wrote no proper " VG_KEY_CONTROL_REF
				      " and " VG_KEY_EVENT_CHANNEL " before its state 3");
		return;
	}
	if (!vgd_node_take_worker(node, &msg))
		return;
	attach->bus = VG_IPC_BUS_MSG;
	vgd_node_send_attach(node, &msg);
	vgd_node_enter(node, VGD_ATTACHING, WORKER_MS);
}

void vgd_node_detach(struct vgd_node *node)
{
	struct vg_ipc_msg msg = {.type = node->leave ? VG_IPC_LEAVE : VG_IPC_DETACH,
				 .device = node->device};

	if (!node->replaced && !node->leave)
		vgd_node_set_state(node, VG_XENBUS_CLOSING);
	vgd_node_enter(node, VGD_DETACHING, WORKER_MS);
	vgd_worker_send(node->sup, node->worker, &msg, -1);
}

/* The worker has let go. What is next, the two directories say. */
static void released(struct vgd_node *node)
{
	struct vgd_worker *worker = node->worker;
	struct vgd_look look;

	/* A directory that was made anew meanwhile is not to be told of the end of its forerunner.
	 */
	if (node->config.bus == VG_IPC_BUS_MMIO && !node->leave)
		vgd_mmio_released(node);
	vgd_node_look(node, &look);
	node->removed = !look.own;
	node->replaced = node->replaced || look.own == VG_XENBUS_INITIALISING;
	node->worker = NULL;
	node->device = 0;
	node->stats_cookie = 0;
	node->not_before_ms = node->sup->now_ms + REATTACH_MS;
	if (node->leave) {
		node->dead = true;
	} else if (node->replaced) {
		vgd_node_close_image(node);
		vgd_node_enter(node, VGD_NEW, VGD_NEVER);
	} else {
		closed(node);
	}
	node->dirty = true;
	vgd_worker_put(node->sup, worker);
}

void vgd_node_attached(struct vgd_node *node, const struct vg_ipc_result *result)
{
	if (node->phase != VGD_ATTACHING)
		return; /* DETACH is under way already, and answers for both */
	if (node->config.bus == VG_IPC_BUS_MMIO) {
		vgd_mmio_attached(node, result);
		return;
	}
	if (result->error) {
		vgd_node_failed(node, result->words);
		return;
	}
	vgd_node_set_state(node, VG_XENBUS_CONNECTED);
	vgd_node_enter(node, VGD_CONNECTED, VGD_NEVER);
	vgd_node_log(node, VG_LOG_INFO, "connected");
}

void vgd_node_detached(struct vgd_node *node)
{
	if (node->phase != VGD_DETACHING)
		return;
	vgd_node_log(node, VG_LOG_INFO, "disconnected");
	if (node->config.bus == VG_IPC_BUS_MMIO && !node->leave)
		vgd_node_forget(node);
	released(node);
}

void vgd_node_failed(struct vgd_node *node, const char *words)
{
	if (!node->worker)
		return;
	vgd_node_log(node, VG_LOG_WARN, "broken: %s", words[0] ? words : "no reason given");
	if (vgd_mmio_failed(node))
		return;
	if (!node->replaced) {
		vgd_node_set_error(node, words[0] ? words : "the connection broke");
		vgd_node_set_state(node, VG_XENBUS_CLOSING);
	}
	released(node);
}

/* Its other devices are to be looked at too: they may not be watched, or not be told yet. */
static void guest_gone(struct vgd_node *node)
{
	vgd_node_log(node, VG_LOG_INFO, "the guest is gone");
	for (struct vgd_node *other = node->sup->nodes; other; other = other->next) {
		if (other != node && other->domid == node->domid)
			other->dirty = true;
	}
}

/* Phases in which a worker has the device. */
static void run_busy(struct vgd_node *node, const struct vgd_look *look)
{
	bool late = node->sup->now_ms >= node->deadline_ms;
	/* State 5 need not be there any more: we may have written ours at the same moment. */
	bool unplug = !look->online;
	/* The frontend does not use the device any more, or never will again. */
	bool quiet = look->front != VG_XENBUS_INITIALISED && look->front != VG_XENBUS_CONNECTED;

	if (late && (node->phase == VGD_ATTACHING || node->phase == VGD_DETACHING)) {
		node->deadline_ms = VGD_NEVER;
		vgd_worker_kill(node->sup, node->worker, "it does not answer");
		return;
	}
	if (look->own == VG_XENBUS_INITIALISING && !vgd_mmio_begins(node))
		node->replaced = true;
	if (node->phase == VGD_DETACHING)
		return;
	if (look->gone)
		guest_gone(node);
	if (node->config.bus == VG_IPC_BUS_MMIO) {
		vgd_mmio_run(node, look);
		return;
	}
	if (!look->own || look->gone || node->replaced || quiet || node->sup->stopping ||
	    (node->phase == VGD_CLOSING && late) || (unplug && node->phase == VGD_ATTACHING))
		vgd_node_detach(node);
	else if (unplug && node->phase == VGD_CONNECTED)
		vgd_node_enter(node, VGD_CLOSING, CLOSING_MS);
}

static void run_new(struct vgd_node *node, const struct vgd_look *look)
{
	char words[VGD_WORDS_MAX];

	if (!watch_front(node, words, sizeof(words))) {
		vgd_node_refuse(node, words);
		node->deadline_ms = node->sup->now_ms + LOOK_MS;
		return;
	}
	/* What an earlier vgrantd left connected is not: its frontend must see that first. */
	if (look->own >= VG_XENBUS_CONNECTED && look->front != VG_XENBUS_INITIALISING &&
	    !vgd_mmio_left(node))
		closed(node);
	else
		begin(node);
}

static void run_waiting(struct vgd_node *node, const struct vgd_look *look)
{
	if (node->config.bus == VG_IPC_BUS_MMIO)
		vgd_mmio_attach(node); /* an earlier worker had to end first */
	else if (look->front == VG_XENBUS_INITIALISED)
		attach(node);
	else if (look->front == VG_XENBUS_CLOSING || look->front == VG_XENBUS_CLOSED)
		closed(node);
	else if (look->own == VG_XENBUS_INITIALISING) /* made anew behind our back */
		begin(node);
}

static void run_closed(struct vgd_node *node, const struct vgd_look *look)
{
	char words[VGD_WORDS_MAX];
	bool again = look->own == VG_XENBUS_INITIALISING ||
		     (look->front == VG_XENBUS_INITIALISING && node->front_moved);

	if (!node->watching) {
		node->deadline_ms = node->sup->now_ms + LOOK_MS;
		if (!watch_front(node, words, sizeof(words)))
			return;
		node->deadline_ms = VGD_NEVER;
		again = again || look->front == VG_XENBUS_INITIALISING;
	}
	if (node->publish_retry.at_ms != VGD_NEVER) {
		if (node->sup->now_ms < node->publish_retry.at_ms)
			return;
		node->publish_retry.at_ms = VGD_NEVER;
		node->reopen = true;
	}
	if (again || (node->reopen && look->front <= VG_XENBUS_INITIALISING))
		begin(node);
}

static void run_removing(struct vgd_node *node, const struct vgd_look *look)
{
	if (look->own == VG_XENBUS_INITIALISING) {
		begin(node);
	} else if (node->sup->now_ms >= node->deadline_ms) {
		if (vgd_node_remove_dir(node) && !node->sup->stopping) {
			vgd_retry_later(node, &node->publish_retry);
			node->deadline_ms = node->publish_retry.at_ms;
			return;
		}
		vgd_node_log(node, VG_LOG_INFO, "removed");
		node->dead = true;
	}
}

/* The supervisor ends: nothing is begun, and who waits for us learns that. */
static void run_stopping(struct vgd_node *node)
{
	if (node->phase == VGD_WAIT && node->config.bus != VG_IPC_BUS_MMIO)
		closed(node);
	node->dead = true;
}

/* Phases without a worker. */
static void run_idle(struct vgd_node *node, const struct vgd_look *look)
{
	bool unplug = !look->online && look->own != VG_XENBUS_INITIALISING;

	if (!look->own) {
		vgd_mmio_released(node);
		node->dead = true;
	} else if (node->phase == VGD_REMOVING) {
		run_removing(node, look);
	} else if (look->gone || (unplug && !vgd_mmio_holds(node))) {
		if (look->gone)
			guest_gone(node);
		vgd_mmio_released(node);
		vgd_node_close_image(node);
		vgd_node_set_state(node, VG_XENBUS_CLOSED);
		vgd_node_enter(node, VGD_REMOVING, REMOVE_MS);
	} else if (node->sup->stopping) {
		run_stopping(node);
	} else if (node->phase == VGD_NEW) {
		run_new(node, look);
	} else if (node->phase == VGD_OPENING) {
		opening(node);
	} else if (node->phase == VGD_WAIT) {
		run_waiting(node, look);
	} else {
		run_closed(node, look);
	}
}

void vgd_node_run(struct vgd_node *node)
{
	struct vgd_look look;

	vgd_node_look(node, &look);
	node->removed = !look.own;
	/* Made anew, the directory is owed nothing; nor is a toolstack's unplug to be undone. */
	if (look.own == VG_XENBUS_INITIALISING || !look.own ||
	    (look.own == VG_XENBUS_CLOSING && node->state < VG_XENBUS_CLOSING))
		vgd_retry_over(&node->state_retry);
	else if (node->sup->now_ms >= node->state_retry.at_ms)
		vgd_node_set_state(node, node->state);
	if (node->worker)
		run_busy(node, &look);
	else
		run_idle(node, &look);
}

uint64_t vgd_node_deadline(const struct vgd_node *node)
{
	uint64_t next = node->deadline_ms;

	if (node->state_retry.at_ms < next)
		next = node->state_retry.at_ms;
	if (node->phase == VGD_CLOSED && node->publish_retry.at_ms < next)
		next = node->publish_retry.at_ms;
	if (node->phase == VGD_OPENING && node->not_before_ms < next)
		next = node->not_before_ms;
	if (node->phase == VGD_CONNECTED && node->driver != node->driver_told &&
	    node->driver_ms < next)
		next = node->driver_ms;
	if (!node->front_seen && node->front_until_ms && node->phase != VGD_REMOVING &&
	    node->front_until_ms < next)
		next = node->front_until_ms;
	return next;
}
