// SPDX-License-Identifier: MIT
/* Figures, published in our own directory when somebody asks there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "supervisor.h"
#include "workers.h"

/* The longest " name=value" of a worker's, and all that goes before these. */
#define FIGURE_MAX (VG_IPC_NAME_MAX - 1 + sizeof(" =18446744073709551615") - 1)
#define HEAD_MAX   (VGD_NONCE_MAX - 1 + sizeof(" state=6 engine=file queues=4294967295") - 1)
#define TEXT_MAX   (HEAD_MAX + VG_IPC_STATS_MAX * FIGURE_MAX + 1)

/* xenstored lets an unprivileged domain's node have 2048 bytes by default, with what it keeps
 * about the node. */
_Static_assert(TEXT_MAX <= 2048 - 64, "all figures, each as long as it can be, fit into a node");

struct text {
	char buf[TEXT_MAX];
	size_t len;
};

/* Adds " name=value", for which there is room. */
static void add(struct text *text, const char *name, const char *value)
{
	int n = snprintf(text->buf + text->len, sizeof(text->buf) - text->len, " %s=%s", name,
			 value);

	if (n > 0 && (size_t)n < sizeof(text->buf) - text->len)
		text->len += (size_t)n;
	text->buf[text->len] = '\0';
}

static void add_number(struct text *text, const char *name, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	add(text, name, digits);
}

static void publish(struct vgd_node *node, const struct vg_ipc_stats *stats)
{
	char path[VG_STORE_PATH_MAX];
	struct text text;

	text.len = (size_t)snprintf(text.buf, sizeof(text.buf), "%s", node->stats_nonce);
	add_number(&text, "state", node->state);
	if (node->config.engine)
		add(&text, "engine", node->config.engine == VG_IPC_ENGINE_NULL ? "null" : "file");
	if (node->config.queues)
		add_number(&text, "queues", node->config.queues);
	for (uint32_t i = 0; stats && i < stats->count; i++)
		add_number(&text, stats->stat[i].name, stats->stat[i].value);
	if (!vg_store_path(path, "%s/" VGD_KEY_STATS, node->dir) && !node->removed)
		vg_store_write(node->sup->store, path, text.buf);
}

static bool nonce_ok(const char *nonce)
{
	size_t len = strlen(nonce);

	return len && strspn(nonce, "0123456789abcdef") == len;
}

void vgd_node_stats_request(struct vgd_node *node)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_GET_STATS, .device = node->device};
	char path[VG_STORE_PATH_MAX];
	char nonce[VGD_NONCE_MAX];

	node->stats_dirty = false;
	if (vg_store_path(path, "%s/" VGD_KEY_STATS_REQUEST, node->dir) ||
	    vg_store_read(node->sup->store, path, nonce, sizeof(nonce)) || !nonce_ok(nonce) ||
	    !strcmp(nonce, node->stats_nonce))
		return;
	memcpy(node->stats_nonce, nonce, sizeof(nonce));
	if (!node->worker || node->phase == VGD_DETACHING) {
		publish(node, NULL);
		return;
	}
	node->stats_cookie = node->sup->next_cookie++;
	msg.u.cookie = node->stats_cookie;
	vgd_worker_send(node->sup, node->worker, &msg, -1);
}

void vgd_node_stats_reply(struct vgd_node *node, const struct vg_ipc_stats *stats)
{
	/* An answer to an earlier question, overtaken by this one. */
	if (!node->stats_cookie || stats->cookie != node->stats_cookie)
		return;
	node->stats_cookie = 0;
	publish(node, stats);
}
