// SPDX-License-Identifier: MIT
/*
 * A node whose device is on virtio-mmio (spec/virtio-xen.md, section 13). The worker has the device
 * from before state 2 on, because the guest may touch the registers as soon as it runs; and a
 * worker that ends is followed by another that goes on where it stopped, of which the guest sees
 * nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vgrant/mmio.h>

#include "node.h"
#include "state.h"
#include "supervisor.h"
#include "workers.h"

#define AGAIN_MS 250
/* More workers than the first that may end before they have attached the device, or while they let
 * go of it: one, since it may have left an IOREQ server. */
#define ATTACH_TRIES 1
/* While an earlier worker still has the guest's IOREQ server: after so many attempts the next are
 * further apart. */
#define BUSY_TRIES 20
#define BUSY_MS    1000
/* An earlier vgrantd may take its time to end. */
#define IMAGE_WAIT_MS 30000
#define ATTACH_MS     30000
#define CLOSING_MS    5000

/*
 * Where we put registers when the toolstack has not: above the local APIC and the window of message
 * interrupts, below Xen's special pages. No guest has memory there. A page for each device, so that
 * one mapping shows no other device's registers.
 */
#define BASE_FIRST UINT64_C(0xfef00000)
#define BASE_STEP  UINT64_C(0x1000)
#define BASE_COUNT 128u

static void state_name(const struct vgd_node *node, char *name, size_t size)
{
	snprintf(name, size, "%s-%u-%" PRIu32, node->kind, node->domid, node->devid);
}

static void own_key(const struct vgd_node *node, const char *key, char *value, size_t size)
{
	char path[VG_STORE_PATH_MAX];

	if (vg_store_path(path, "%s/%s", node->dir, key) ||
	    vg_store_read(node->sup->store, path, value, size))
		value[0] = '\0';
}

bool vgd_mmio_left(struct vgd_node *node)
{
	char value[16];

	own_key(node, VGD_KEY_IOREQ, value, sizeof(value));
	return value[0];
}

/* Until a worker has it the device is in state 1, as a directory that was made anew is; but that
 * has no name of ours in it. */
bool vgd_mmio_begins(struct vgd_node *node)
{
	char value[VGD_TOKEN_MAX];

	if (node->config.bus != VG_IPC_BUS_MMIO || node->phase != VGD_ATTACHING || !node->resume[0])
		return false;
	own_key(node, VGD_KEY_RESUME, value, sizeof(value));
	return !strcmp(value, node->resume);
}

/*
 * A worker ends when its supervisor does, as soon as its last I/O has ended; a disk may not let it.
 * Until then neither image nor IOREQ server are free. To give the device up would help nobody: a
 * vCPU of the guest waits for whoever answers next.
 */
bool vgd_mmio_waits(struct vgd_node *node)
{
	static const char words[] = "the worker process of an earlier vgrantd still has the device "
				    "(its last I/O has not ended, or it was stopped): waiting for "
				    "its end, and the guest waits too";

	if (node->config.bus != VG_IPC_BUS_MMIO || !vgd_mmio_left(node))
		return false;
	if (!node->wait_told) {
		vgd_node_log(node, VG_LOG_WARN, "%s", words);
		vgd_node_set_error(node, words);
	}
	node->wait_told = true;
	if (node->phase == VGD_OPENING)
		node->deadline_ms = VGD_NEVER;
	return true;
}

/* What the device's worker said of the guest's IOREQ server, or, when it came to an end before
 * that, kept in its file. */
static uint32_t server_of(struct vgd_node *node)
{
	char path[VG_STORE_PATH_MAX], token[VGD_TOKEN_MAX], name[64];
	uint32_t id;

	if (!vg_store_path(path, "%s/" VGD_KEY_IOREQ, node->dir) &&
	    !vg_store_read_u32(node->sup->store, path, UINT16_MAX, &id))
		return id;
	own_key(node, VGD_KEY_RESUME, token, sizeof(token));
	state_name(node, name, sizeof(name));
	return vgd_state_server(node->sup->options->state_dir, name, token);
}

/* What could not be opened or attached is not tried again for this: it is CLOSED. */
bool vgd_mmio_holds(struct vgd_node *node)
{
	bool may = node->phase == VGD_NEW ||
		   ((node->phase == VGD_OPENING || node->phase == VGD_WAIT) &&
		    node->config.bus == VG_IPC_BUS_MMIO);

	return may && server_of(node) != VG_IOREQ_NONE;
}

/* The guest's IOREQ server, as an earlier vgrantd or another device's worker left it: any node of
 * the guest will do. */
static uint32_t known_server(struct vgd_node *node)
{
	uint32_t id = VG_IOREQ_NONE;

	for (struct vgd_node *other = node->sup->nodes; other && id == VG_IOREQ_NONE;
	     other = other->next)
		if (other->domid == node->domid && !other->dead)
			id = server_of(other);
	return id;
}

static bool base_is_taken(const struct vgd_node *node, uint64_t base)
{
	for (const struct vgd_node *other = node->sup->nodes; other; other = other->next)
		if (other != node && other->domid == node->domid && other->config.base == base)
			return true;
	return false;
}

/*
 * By the device's number, so that it is the same when the guest is restored elsewhere: disks are 16
 * apart. 0 when there is none left.
 */
static uint64_t choose_base(const struct vgd_node *node)
{
	for (uint32_t i = 0; i < BASE_COUNT; i++) {
		uint64_t base = BASE_FIRST + ((node->devid >> 4) + i) % BASE_COUNT * BASE_STEP;

		if (!base_is_taken(node, base))
			return base;
	}
	return 0;
}

/* The file of the registers goes to the worker. Without one a restart cannot go on, which is told.
 */
static void send_state(struct vgd_node *node)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_STATE, .device = node->device};
	const char *dir = node->sup->options->state_dir;
	bool left = vgd_mmio_left(node);
	char name[64];
	bool kept;
	int fd;

	state_name(node, name, sizeof(name));
	own_key(node, VGD_KEY_RESUME, node->resume, sizeof(node->resume));
	fd = vgd_state_open(dir, name, node->resume, &kept);
	if (fd < 0) {
		node->resume[0] = '\0';
		vgd_node_log(node, VG_LOG_WARN,
			     "cannot keep the device's state in %.100s (%s): if vgrantd ends, the "
			     "guest loses the device",
			     dir, strerror(-fd));
		return;
	}
	if (left && !kept)
		vgd_node_log(node, VG_LOG_WARN,
			     "the state that an earlier vgrantd kept in %.100s is gone: the guest "
			     "cannot use the device until its driver resets it",
			     dir);
	/* Refused, it is tried again with all else that is published. */
	vgd_node_set_resume(node);
	vgd_worker_send(node->sup, node->worker, &msg, fd);
	close(fd);
}

void vgd_mmio_attach(struct vgd_node *node)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_ATTACH};
	struct vg_ipc_attach *attach = &msg.u.attach;

	/* The end of a worker marks this node. */
	if (vgd_worker_wait(node->sup, node->domid))
		return;
	if (!node->config.base)
		node->config.base = choose_base(node);
	if (!node->config.base) {
		vgd_node_refuse(node, "there is no room for the registers of one more device");
		return;
	}
	if (!vgd_node_take_worker(node, &msg))
		return;
	attach->bus = VG_IPC_BUS_MMIO;
	attach->base = node->config.base;
	attach->irq_kind = node->config.irq_kind;
	attach->irq = node->config.irq;
	attach->ioreq = known_server(node); /* before the file is made anew, if it is */
	send_state(node);
	vgd_node_send_attach(node, &msg);
	vgd_node_enter(node, VGD_ATTACHING, ATTACH_MS);
}

/* Another worker is to go on, after @wait_ms. */
static void again(struct vgd_node *node, uint64_t wait_ms)
{
	struct vgd_worker *worker = node->worker;

	node->worker = NULL;
	node->device = 0;
	node->stats_cookie = 0;
	node->port = 0;
	node->not_before_ms = node->sup->now_ms + wait_ms;
	vgd_node_enter(node, VGD_OPENING, IMAGE_WAIT_MS);
	node->dirty = true;
	vgd_worker_put(node->sup, worker);
}

bool vgd_mmio_failed(struct vgd_node *node)
{
	bool had = node->phase == VGD_CONNECTED || node->phase == VGD_CLOSING;
	bool half = node->phase == VGD_ATTACHING || node->phase == VGD_DETACHING;

	if (node->config.bus != VG_IPC_BUS_MMIO || node->removed || node->replaced ||
	    node->sup->stopping)
		return false;
	if (!had && (!half || node->attach_tries++ >= ATTACH_TRIES))
		return false;
	again(node, AGAIN_MS);
	return true;
}

void vgd_mmio_attached(struct vgd_node *node, const struct vg_ipc_result *result)
{
	bool denied =
		result->error == -EPERM || result->error == -EACCES || result->error == -EOPNOTSUPP;

	if (result->error == -EBUSY && (node->busy_tries++ < BUSY_TRIES || vgd_mmio_waits(node))) {
		again(node, node->wait_told ? BUSY_MS : AGAIN_MS);
		return;
	}
	if (denied && node->config.bus_is_a_guess) {
		vgd_node_log(node, VG_LOG_WARN,
			     "offered by virtio-msg, because %s; a guest that expects its device "
			     "at base %#" PRIx64 " will find nothing there",
			     result->words, node->config.base);
		node->config.bus = VG_IPC_BUS_MSG;
		again(node, AGAIN_MS);
		return;
	}
	if (result->error) {
		node->attach_tries = ATTACH_TRIES; /* it has let go already */
		vgd_node_failed(node, result->words);
		return;
	}
	node->busy_tries = 0;
	node->wait_told = false;
	node->ioreq = result->ioreq;
	node->driver = false;
	node->driver_told = false;
	node->driver_ms = 0;
	if (vgd_node_publish(node)) {
		vgd_node_set_error(node, "what the guest needs cannot be written to xenstore");
		vgd_node_detach(node);
		return;
	}
	vgd_node_enter(node, VGD_CONNECTED, VGD_NEVER);
	node->dirty = true; /* a frontend may have been there all the time */
	vgd_node_log(node, VG_LOG_INFO, "served by virtio-mmio at %#" PRIx64, node->config.base);
}

static void send_port(struct vgd_node *node, uint32_t port)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_PORT, .device = node->device, .u.port = port};

	node->port = port;
	vgd_worker_send(node->sup, node->worker, &msg, -1);
}

void vgd_mmio_bound(struct vgd_node *node, const struct vg_ipc_result *result)
{
	if (node->phase != VGD_CONNECTED || !node->port)
		return;
	if (result->error) {
		node->port = 0;
		vgd_node_set_error(node, result->words);
		vgd_node_set_state(node, VG_XENBUS_CLOSED);
		return;
	}
	if (node->state != VG_XENBUS_CONNECTED)
		vgd_node_set_state(node, VG_XENBUS_CONNECTED);
	vgd_node_log(node, VG_LOG_INFO, "connected");
}

/* Of a driver on xenbus the states tell. */
void vgd_mmio_driver(struct vgd_node *node, bool there)
{
	if (node->config.irq_kind != VG_IPC_IRQ_EVTCHN)
		node->driver = there;
}

static void tell_driver(struct vgd_node *node)
{
	if (node->driver == node->driver_told || node->sup->now_ms < node->driver_ms)
		return;
	vgd_node_set_driver(node);
	vgd_node_log(node, VG_LOG_INFO,
		     node->driver ? "connected" : "the guest's driver has reset it");
}

/* A driver that finds its device through xenbus. */
static void run_frontend(struct vgd_node *node, const struct vgd_look *look)
{
	bool there = look->front == VG_XENBUS_INITIALISED || look->front == VG_XENBUS_CONNECTED;
	uint32_t port;

	if (node->config.irq_kind != VG_IPC_IRQ_EVTCHN)
		return;
	if (there && !node->port && node->state < VG_XENBUS_CLOSING) {
		if (!vgd_node_read_front(node, VG_KEY_EVENT_CHANNEL, &port) && port) {
			send_port(node, port);
			return;
		}
		vgd_node_set_error(node, "the guest's driver wrote no proper " VG_KEY_EVENT_CHANNEL
					 " before its state 3");
		vgd_node_set_state(node, VG_XENBUS_CLOSED);
	} else if (look->front == VG_XENBUS_CLOSING) {
		/* It may still flush, and reset the device: it is served until its state 6. */
		if (node->state < VG_XENBUS_CLOSING)
			vgd_node_set_state(node, VG_XENBUS_CLOSING);
	} else if (look->front == VG_XENBUS_CLOSED) {
		if (node->port)
			send_port(node, 0);
		if (node->state != VG_XENBUS_CLOSED)
			vgd_node_set_state(node, VG_XENBUS_CLOSED);
	} else if (look->front == VG_XENBUS_INITIALISING && node->state == VG_XENBUS_CLOSED) {
		vgd_node_publish(node);
	}
}

void vgd_mmio_run(struct vgd_node *node, const struct vgd_look *look)
{
	bool late = node->sup->now_ms >= node->deadline_ms;
	bool in_use = look->front >= VG_XENBUS_INITIALISED && look->front <= VG_XENBUS_CLOSING;

	if (!look->own || look->gone || node->replaced || (node->phase == VGD_CLOSING && late) ||
	    (node->phase == VGD_CLOSING && !in_use) ||
	    (!look->online && node->phase == VGD_ATTACHING)) {
		vgd_node_detach(node);
	} else if (node->sup->stopping) {
		node->leave = true;
		vgd_node_detach(node);
	} else if (node->phase == VGD_CONNECTED && !look->online) {
		/* A driver on xenbus may still flush. */
		vgd_node_enter(node, VGD_CLOSING, in_use ? CLOSING_MS : 0);
		node->dirty = true;
	} else if (node->phase == VGD_CONNECTED) {
		node->attach_tries = 0;
		tell_driver(node);
		run_frontend(node, look);
	}
}

void vgd_mmio_released(struct vgd_node *node)
{
	char name[64];

	node->port = 0;
	node->ioreq = VG_IOREQ_NONE;
	state_name(node, name, sizeof(name));
	vgd_state_remove(node->sup->options->state_dir, name);
}
