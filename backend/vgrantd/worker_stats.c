// SPDX-License-Identifier: MIT
/* What a worker counts, for the supervisor that asks. */
#include "vgrantd/worker_internal.h"

#define COUNT(figures) (sizeof(figures) / sizeof((figures)[0]))

/* Of one bus, and those that there are whatever the bus. What is past VG_IPC_STATS_MAX would be
 * dropped. */
#define BUS_MAX   8
#define OTHER_MAX (VG_IPC_STATS_MAX - BUS_MAX)

struct figure {
	const char *name;
	uint64_t value;
};

static void add_figures(struct vg_ipc_msg *msg, const struct figure *figure, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vg_ipc_stats_add(msg, figure[i].name, figure[i].value);
}

/* What there is of the bus that the device is on. */
static void add_bus(const struct worker *w, const struct served *s, struct vg_ipc_msg *msg)
{
	struct vg_xenbus_conn_stats conn;
	struct vg_ioreq_stats ioreq;
	struct vg_mmio_stats mmio;

	if (s->conn) {
		vg_xenbus_conn_get_stats(s->conn, &conn);
		const struct figure figure[] = {
			{"messages", conn.messages},
			{"messages-discarded", conn.discarded},
			{"events-received", conn.events_received},
			{"notifications-sent", conn.notifications_sent},
		};
		_Static_assert(COUNT(figure) <= BUS_MAX, "they fit into the answer");
		add_figures(msg, figure, COUNT(figure));
	} else {
		vg_mmio_get_stats(s->mmio, &mmio);
		vg_ioreq_get_stats(w->ioreq, &ioreq);
		const struct figure figure[] = {
			{"mmio-reads", mmio.reads},
			{"mmio-writes", mmio.writes},
			{"mmio-ignored", mmio.ignored},
			{"mmio-kicks", mmio.kicks},
			{"mmio-interrupts", mmio.interrupts},
			{"worker-ioreqs", ioreq.requests},
			{"worker-ioreqs-refused", ioreq.refused},
			{"worker-foreign-pages", worker_mmio_foreign_pages(w)},
		};
		_Static_assert(COUNT(figure) <= BUS_MAX, "they fit into the answer");
		add_figures(msg, figure, COUNT(figure));
	}
}

void worker_report_stats(struct worker *w, uint32_t id, uint64_t cookie)
{
	struct served *s = worker_find(w, id);
	struct vg_io_stats io = {0};
	struct vg_view_stats view;
	struct vg_blk_stats blk;
	struct vg_ipc_msg msg;

	vg_ipc_stats_init(&msg, id, cookie);
	if (!s) {
		msg.u.stats.error = 1;
		worker_answer(w, &msg);
		return;
	}
	vg_view_get_stats(s->view, &view);
	vg_blk_get_stats(s->blk, &blk);
	if (w->io)
		vg_io_get_stats(w->io, &io);
	const struct figure device[] = {
		{"reads", blk.reads},
		{"writes", blk.writes},
		{"flushes", blk.flushes},
		{"other", blk.other},
		{"errors", blk.errors},
		{"bytes-read", blk.bytes_read},
		{"bytes-written", blk.bytes_written},
		{"in-flight", blk.in_flight},
		{"requests", view.requests},
		{"faults", view.faults},
		{"regions", view.regions},
		{"pages-mapped", view.pages_mapped},
		{"pages-mapped-peak", view.pages_mapped_peak},
		{"pages-reached", view.pages_reached},
		{"map-ops", view.map_ops},
		{"unmap-ops", view.unmap_ops},
		{"unmap-failures", view.unmap_failures},
		{"copy-ops", view.copy_ops},
		{"copy-calls", view.copy_calls},
		{"bytes-copied", view.bytes_copied},
	};
	const struct figure worker[] = {
		{"worker-pages-mapped", w->quota.pages},
		{"worker-region-pages", w->quota.region_pages},
		{"worker-pages-max", w->quota.max_pages},
		{"worker-fixed-regions", io.buffers},
		{"worker-fixed-io", io.fixed},
		{"worker-submits", io.submits},
		{"worker-turns", w->stats.turns},
		{"worker-looks", w->stats.looks},
		{"worker-sleeps", w->stats.sleeps},
		{"worker-events", w->stats.events},
		{"worker-event-reads", w->stats.event_reads},
	};
	_Static_assert(COUNT(device) + COUNT(worker) <= OTHER_MAX, "they fit into the answer");
	add_figures(&msg, device, COUNT(device));
	add_bus(w, s, &msg);
	add_figures(&msg, worker, COUNT(worker));
	worker_answer(w, &msg);
}
