// SPDX-License-Identifier: MIT
/*
 * Every write is made in a transaction that first looks whether the directory is still there: a
 * plain write would bring back to life what the toolstack has just removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/mmio.h>

#include "node.h"
#include "supervisor.h"
#include "text.h"

/* Transactions that conflict are made anew; nothing but the toolstack writes where we do. */
#define TRIES 16
/* Between tries of what xenstored refuses: a quota may be raised, a directory be given to us. */
#define RETRY_MS     200
#define RETRY_MAX_MS 10000
/* Between two changes that the guest's driver can cause. */
#define DRIVER_MS 1000

void vgd_retry_later(struct vgd_node *node, struct vgd_retry *retry)
{
	retry->wait_ms = !retry->wait_ms                     ? RETRY_MS
			 : 2 * retry->wait_ms < RETRY_MAX_MS ? 2 * retry->wait_ms
							     : RETRY_MAX_MS;
	retry->at_ms = node->sup->now_ms + retry->wait_ms;
}

void vgd_retry_over(struct vgd_retry *retry)
{
	*retry = (struct vgd_retry){.at_ms = VGD_NEVER};
}

struct change {
	const char *key;
	const char *value; /* NULL: remove the key */
};

static int apply(struct vgd_node *node, const struct change *changes, unsigned int n)
{
	struct vg_store *store = node->sup->store;
	char path[VG_STORE_PATH_MAX];
	uint32_t state;
	int rc;

	rc = vg_store_path(path, "%s/state", node->dir);
	if (!rc)
		rc = vg_store_read_u32(store, path, UINT32_MAX, &state);
	for (unsigned int i = 0; i < n && !rc; i++) {
		rc = vg_store_path(path, "%s/%s", node->dir, changes[i].key);
		if (!rc && changes[i].value)
			rc = vg_store_write(store, path, changes[i].value);
		else if (!rc)
			rc = vg_store_remove(store, path);
		if (rc == -ENOENT && !changes[i].value)
			rc = 0;
	}
	return rc;
}

static int change(struct vgd_node *node, const struct change *changes, unsigned int n)
{
	struct vg_store *store = node->sup->store;
	int rc = -EAGAIN;

	if (node->removed)
		return -ENOENT;
	for (unsigned int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		int error;

		rc = vg_store_begin(store);
		if (rc)
			break;
		error = apply(node, changes, n);
		rc = vg_store_end(store, !error);
		if (error)
			rc = error;
	}
	/* It is tried again and again: each reason is told once. */
	if (rc && rc != -ENOENT && rc != node->write_error) {
		node->write_error = rc;
		vgd_node_log(node, VG_LOG_ERROR,
			     "cannot write to %s in xenstore: %s%s; trying again", node->dir,
			     strerror(-rc),
			     rc == -EACCES   ? ": it must belong to this domain"
			     : rc == -ENOSPC ? ": this domain's quota of nodes is used up"
					     : "");
	}
	return rc;
}

static void writable_again(struct vgd_node *node)
{
	if (node->write_error)
		vgd_node_log(node, VG_LOG_INFO, "xenstore takes what is written again");
	node->write_error = 0;
}

void vgd_node_set_state(struct vgd_node *node, enum vg_xenbus_state state)
{
	char text[2] = {(char)('0' + state), '\0'};
	const struct change changes[] = {{"state", text}};
	int rc;

	node->state = state;
	rc = change(node, changes, 1);
	if (rc && rc != -ENOENT)
		vgd_retry_later(node, &node->state_retry);
	else
		vgd_retry_over(&node->state_retry);
	if (!rc && state == VG_XENBUS_CONNECTED)
		writable_again(node);
}

/* What a driver on virtio-mmio and a later vgrantd are to know. A driver that runs, and was never
 * told of our predecessor's end, keeps state 4. */
static int publish_mmio(struct vgd_node *node)
{
	char base[24], size[24], ioreq[16];
	const struct change changes[] = {
		{"base", base},         {"size", size},
		{VGD_KEY_IOREQ, ioreq}, {VGD_KEY_RESUME, node->resume[0] ? node->resume : NULL},
		{VGD_KEY_ERROR, NULL},  {VGD_KEY_DRIVER, NULL},
		{"state", "2"},
	};
	char path[VG_STORE_PATH_MAX];
	uint32_t state = 0;
	bool connected;

	connected = !vg_store_path(path, "%s/state", node->dir) &&
		    !vg_store_read_u32(node->sup->store, path, UINT32_MAX, &state) &&
		    state == VG_XENBUS_CONNECTED;
	snprintf(base, sizeof(base), "0x%" PRIx64, node->config.base);
	snprintf(size, sizeof(size), "0x%x", VG_MMIO_SIZE);
	snprintf(ioreq, sizeof(ioreq), "%" PRIu32, node->ioreq);
	node->state = connected ? VG_XENBUS_CONNECTED : VG_XENBUS_INIT_WAIT;
	return change(node, changes, connected ? 6 : 7);
}

static int publish_msg(struct vgd_node *node)
{
	char version[16], pages[16];
	const struct change changes[] = {
		{VG_KEY_VERSION, version},
		{VG_KEY_MAX_PAGES, pages},
		{VGD_KEY_ERROR, NULL},
		{"state", "2"},
	};

	snprintf(version, sizeof(version), "%d", VG_XENBUS_VERSION);
	snprintf(pages, sizeof(pages), "%" PRIu32, node->sup->options->max_pages);
	node->state = VG_XENBUS_INIT_WAIT;
	return change(node, changes, 4);
}

int vgd_node_publish(struct vgd_node *node)
{
	int rc;

	vgd_retry_over(&node->state_retry);
	rc = node->config.bus == VG_IPC_BUS_MMIO ? publish_mmio(node) : publish_msg(node);
	if (!rc) {
		vgd_retry_over(&node->publish_retry);
		writable_again(node);
	}
	return rc;
}

void vgd_node_set_error(struct vgd_node *node, const char *words)
{
	char text[VGD_WORDS_MAX];
	const struct change changes[] = {{VGD_KEY_ERROR, words[0] ? text : NULL}};

	snprintf(text, sizeof(text), "%s", words);
	vgd_printable(text);
	change(node, changes, 1);
}

int vgd_node_set_resume(struct vgd_node *node)
{
	const struct change changes[] = {{VGD_KEY_RESUME, node->resume}};

	return change(node, changes, 1);
}

void vgd_node_forget(struct vgd_node *node)
{
	const struct change changes[] = {
		{VGD_KEY_IOREQ, NULL}, {VGD_KEY_RESUME, NULL}, {VGD_KEY_DRIVER, NULL}};

	change(node, changes, 3);
}

void vgd_node_set_driver(struct vgd_node *node)
{
	const struct change changes[] = {{VGD_KEY_DRIVER, node->driver ? "1" : NULL}};
	int rc = change(node, changes, 1);

	node->driver_ms = node->sup->now_ms + DRIVER_MS;
	if (!rc || rc == -ENOENT)
		node->driver_told = node->driver;
}

static int remove_if_closed(struct vgd_node *node)
{
	struct vg_store *store = node->sup->store;
	char path[VG_STORE_PATH_MAX];
	uint32_t state;
	int rc;

	rc = vg_store_path(path, "%s/state", node->dir);
	if (!rc)
		rc = vg_store_read_u32(store, path, UINT32_MAX, &state);
	if (!rc && state != VG_XENBUS_CLOSED)
		rc = -EBUSY;
	return rc ? rc : vg_store_remove(store, node->dir);
}

/* The guest's directory, when no device of this kind is left. It may belong to the toolstack, and
 * then it is the toolstack's to remove. */
static void remove_parent(struct vgd_node *node)
{
	struct vg_store *store = node->sup->store;
	char path[VG_STORE_PATH_MAX];
	char **names = NULL;
	int rc;

	if (vg_store_path(path, "backend/%s/%u", node->kind, node->domid) || vg_store_begin(store))
		return;
	rc = vg_store_list(store, path, &names);
	if (rc >= 0)
		free(names);
	if (!rc)
		rc = vg_store_remove(store, path);
	vg_store_end(store, !rc);
}

int vgd_node_remove_dir(struct vgd_node *node)
{
	struct vg_store *store = node->sup->store;
	int rc = -EAGAIN;

	for (unsigned int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		int error;

		rc = vg_store_begin(store);
		if (rc)
			break;
		error = remove_if_closed(node);
		rc = vg_store_end(store, !error);
		if (error)
			rc = error;
	}
	if (rc == -EBUSY) /* attached anew meanwhile */
		return 0;
	if (rc && rc != -ENOENT) {
		if (rc != node->write_error)
			vgd_node_log(node, VG_LOG_ERROR,
				     "cannot remove %s from xenstore: %s; trying again", node->dir,
				     strerror(-rc));
		node->write_error = rc;
		return rc;
	}
	node->removed = true;
	remove_parent(node);
	return 0;
}
