// SPDX-License-Identifier: MIT
/* Answers that wait: a reset until nothing is in flight, the end of a region until nothing uses it.
 * A wait that runs out is answered "not done", never "done". */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <vgrant/view.h>

#include "bus/xenbus/conn.h"

/* The view does not say when a region has drained; it is asked again this often. */
#define REGION_POLL_MS 2

bool conn_defer(struct vg_xenbus_conn *conn, enum deferred_kind kind, const struct vg_msg *request,
		uint64_t now_ms)
{
	struct deferred *d;

	if (conn->num_deferred == CONN_MAX_DEFERRED)
		return false;
	d = &conn->deferred[conn->num_deferred++];
	*d = (struct deferred){
		.kind = kind,
		.token = request->token,
		.deadline = now_ms + conn->timeout_ms,
	};
	if (kind == DEFERRED_REGION) {
		d->first = request->region.first;
		d->count = request->region.count;
	}
	return true;
}

void conn_reset_happened(struct vg_xenbus_conn *conn)
{
	unsigned int i;

	conn_unbind_queues(conn);
	for (i = 0; i < conn->num_deferred; i++)
		if (conn->deferred[i].kind == DEFERRED_RESET)
			conn->deferred[i].done = true;
}

void conn_region_gone(struct vg_xenbus_conn *conn, uint32_t first, uint32_t count)
{
	unsigned int i;

	for (i = 0; i < conn->num_deferred; i++) {
		struct deferred *d = &conn->deferred[i];

		if (d->kind == DEFERRED_REGION && d->first == first && d->count == count)
			d->done = true;
	}
}

/* The answer to @d as things stand: done, or its time has run out. */
static void make_answer(const struct vg_xenbus_conn *conn, const struct deferred *d,
			struct vg_msg *answer)
{
	*answer = (struct vg_msg){.type = VG_MSG_RESPONSE, .token = d->token};
	if (d->kind == DEFERRED_REGION) {
		answer->type |= VG_MSG_BUS;
		answer->id = VG_MSG_BUS_REGION_REMOVE;
		answer->status.status = d->done ? VG_BUS_OK : VG_BUS_BUSY;
		return;
	}
	answer->id = VG_MSG_SET_DEVICE_STATUS;
	if (!d->done)
		answer->status.status =
			vg_device_get_status(conn->device) | VG_STATUS_DEVICE_NEEDS_RESET;
}

static void poll_regions(struct vg_xenbus_conn *conn)
{
	unsigned int i;

	for (i = 0; i < conn->num_deferred; i++) {
		const struct deferred *d = &conn->deferred[i];

		if (d->kind == DEFERRED_REGION && !d->done &&
		    !vg_view_region_remove(conn->view, d->first, d->count))
			conn_region_gone(conn, d->first, d->count);
	}
}

int conn_answer_deferred(struct vg_xenbus_conn *conn, uint64_t now_ms, bool *sent)
{
	struct vg_msg answer;
	unsigned int i = 0;
	int ret;

	poll_regions(conn);
	while (i < conn->num_deferred) {
		const struct deferred *d = &conn->deferred[i];

		if (!d->done && now_ms < d->deadline) {
			i++;
			continue;
		}
		make_answer(conn, d, &answer);
		ret = conn_send(conn, &answer);
		if (ret <= 0)
			return ret;
		*sent = true;
		if (!d->done && conn_complain(conn, COMPLAIN_RESET))
			vg_warn(conn->log,
				"%s: requests did not finish within %u ms, so a reset or the end "
				"of "
				"a region was answered with \"not yet\": is the storage stuck?",
				conn->label, conn->timeout_ms);
		conn->num_deferred--;
		memmove(&conn->deferred[i], &conn->deferred[i + 1],
			(conn->num_deferred - i) * sizeof(conn->deferred[0]));
	}
	return 0;
}

int conn_deferred_timeout(const struct vg_xenbus_conn *conn, uint64_t now_ms)
{
	uint64_t wait, shortest = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < conn->num_deferred; i++) {
		const struct deferred *d = &conn->deferred[i];

		if (d->done || d->deadline <= now_ms)
			return 0;
		wait = d->deadline - now_ms;
		if (d->kind == DEFERRED_REGION && wait > REGION_POLL_MS)
			wait = REGION_POLL_MS;
		if (wait < shortest)
			shortest = wait;
	}
	if (shortest == UINT64_MAX)
		return -1;
	return shortest > INT_MAX ? INT_MAX : (int)shortest;
}
