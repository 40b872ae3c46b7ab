// SPDX-License-Identifier: MIT
/* What a driver is told on the control page, or not; and the figures of all this. */
#include <errno.h>
#include <time.h>

#include <vgrant/view.h>
#include <vgrant/xen.h>

#include "bus/xenbus/conn.h"
#include "vgrantd/ipc.h"

#include "hostile.h"

HOSTILE_WRAP(int, vg_view_region_remove, struct vg_view *view, uint32_t first, uint32_t count);
HOSTILE_WRAP(int, vg_device_set_status, struct vg_device *dev, uint8_t status);
HOSTILE_WRAP(int, vg_xenbus_conn_service, struct vg_xenbus_conn *conn, uint64_t now_ms);
HOSTILE_WRAP(int, vg_xenbus_conn_timeout, const struct vg_xenbus_conn *conn, uint64_t now_ms);
HOSTILE_WRAP(void, vg_gnttab_close, struct vg_gnttab *gnttab);
HOSTILE_WRAP(void, vg_ipc_stats_init, struct vg_ipc_msg *msg, uint32_t device, uint64_t cookie);

/* ---- busy ---- */

int __wrap_vg_view_region_remove(struct vg_view *view, uint32_t first, uint32_t count)
{
	if (!hostile.busy_region)
		return __real_vg_view_region_remove(view, first, count);
	hostile_count(&hostile_counters.unanswered, 1);
	return -EBUSY;
}

int __wrap_vg_device_set_status(struct vg_device *dev, uint8_t status)
{
	if (status || !hostile.busy_reset || !(vg_device_get_status(dev) & VG_STATUS_DRIVER_OK))
		return __real_vg_device_set_status(dev, status);
	hostile_count(&hostile_counters.unanswered, 1);
	return -EINPROGRESS;
}

/* ---- mute, prod-back ---- */

static bool running(const struct vg_xenbus_conn *conn)
{
	return vg_device_get_status(conn->device) & VG_STATUS_DRIVER_OK;
}

static bool silent(const struct vg_xenbus_conn *conn)
{
	return hostile.mute == MUTE_PROBE || (hostile.mute == MUTE_RUNNING && running(conn));
}

static void move_index(struct vg_xenbus_conn *conn)
{
	uint32_t prod = conn->ctl.prod, cons = conn->ctl.cons;

	switch (hostile.prod) {
	case PROD_HONEST:
		return;
	case PROD_BACK:
		vg_guest_store32_release(conn->ctl.own_prod, prod - 1);
		break;
	case PROD_FORWARD:
		vg_guest_store32_release(conn->ctl.own_prod, prod + VG_CTL_SLOTS + 1);
		break;
	case PROD_CONS_BACK:
		vg_guest_store32_release(conn->ctl.own_cons, cons - 1);
		break;
	case PROD_CONS_FORWARD:
		vg_guest_store32_release(conn->ctl.own_cons, cons + 1);
		break;
	}
	hostile_count(&hostile_counters.moved, 1);
	vg_evtchn_notify(conn->evtchn, conn->port);
}

/* When the index of the connection is due; one device is enough. 0: it does not run. */
static uint64_t due;
static const struct vg_xenbus_conn *moved;

int __wrap_vg_xenbus_conn_service(struct vg_xenbus_conn *conn, uint64_t now_ms)
{
	int ret;

	if (silent(conn)) {
		if (conn->attention)
			hostile_count(&hostile_counters.unanswered, 1);
		conn->attention = false;
		return 0;
	}
	ret = __real_vg_xenbus_conn_service(conn, now_ms);
	if (!running(conn)) {
		due = 0;
		moved = NULL;
	} else if (!due) {
		due = now_ms + hostile.delay_ms;
	}
	if (due && now_ms >= due && moved != conn) {
		moved = conn;
		move_index(conn);
	}
	return ret;
}

int __wrap_vg_xenbus_conn_timeout(const struct vg_xenbus_conn *conn, uint64_t now_ms)
{
	int timeout = silent(conn) ? -1 : __real_vg_xenbus_conn_timeout(conn, now_ms);

	if (hostile.prod == PROD_HONEST || !due || moved == conn)
		return timeout;
	if (now_ms >= due)
		return 0;
	return timeout < 0 || (uint64_t)timeout > due - now_ms ? (int)(due - now_ms) : timeout;
}

/* ---- the worker's end, and figures ---- */

/* Where a leak checker finds it. */
static struct vg_gnttab *volatile kept_open;

void __wrap_vg_gnttab_close(struct vg_gnttab *gnttab)
{
	const struct timespec pause = {.tv_sec = hostile.linger_ms / 1000,
				       .tv_nsec = hostile.linger_ms % 1000 * 1000000L};

	nanosleep(&pause, NULL);
	hostile_report();
	/* Not closed: what is kept goes with the process. */
	kept_open = gnttab;
}

void __wrap_vg_ipc_stats_init(struct vg_ipc_msg *msg, uint32_t device, uint64_t cookie)
{
	const bool late = hostile.stale || hostile.stale_copy || hostile.stale_pool;
	const struct {
		const char *name;
		const uint64_t *value;
		bool of_use; /* an answer has no room for all */
	} figure[] = {
		{"hostile-found", &hostile_counters.found, hostile.dump},
		{"hostile-pages", &hostile_counters.pages, hostile.dump},
		{"hostile-scans", &hostile_counters.scans, hostile.dump},
		{"hostile-kept", &hostile_counters.kept, late || hostile.keep_region},
		{"hostile-stale", &hostile_counters.stale, late || hostile.keep_region},
		{"hostile-refused", &hostile_counters.refused, hostile.stale_copy},
		{"hostile-next", &hostile_counters.next, hostile.next},
		{"hostile-wild", &hostile_counters.wild, hostile.wild_id || hostile.wild_len},
		{"hostile-unanswered", &hostile_counters.unanswered,
		 hostile.busy_region || hostile.busy_reset || hostile.mute},
		{"hostile-moved", &hostile_counters.moved, hostile.prod},
	};

	__real_vg_ipc_stats_init(msg, device, cookie);
	for (size_t i = 0; i < sizeof(figure) / sizeof(figure[0]); i++)
		if (figure[i].of_use)
			vg_ipc_stats_add(msg, figure[i].name,
					 __atomic_load_n(figure[i].value, __ATOMIC_RELAXED));
}
