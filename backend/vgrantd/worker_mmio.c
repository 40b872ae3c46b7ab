// SPDX-License-Identifier: MIT
/* A worker's devices on virtio-mmio: the guest's IOREQ server, registers, interrupts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vgrantd/state.h"
#include "vgrantd/worker_internal.h"

/* A guest may set and reset its device as often as it likes: that is not passed on. */
#define TELL_MS 1000

/* ---- interrupts: the request path ---- */

static void interrupt(void *opaque, bool wanted)
{
	struct served *s = opaque;

	/* A guest that has gone is the supervisor's to notice, from xenstore. */
	switch (s->irq_kind) {
	case VG_IPC_IRQ_SPI:
		/* An edge: Xen's GIC wants to be told of the rise only. */
		if (wanted)
			vg_dm_set_irq(s->worker->dm, s->irq, true);
		break;
	case VG_IPC_IRQ_ISA:
		vg_dm_set_isa_irq(s->worker->dm, (uint8_t)s->irq, wanted);
		break;
	default:
		if (wanted && s->irq_port)
			vg_evtchn_notify(s->worker->evtchn, s->irq_port);
	}
}

static void reset_done(void *opaque)
{
	struct served *s = opaque;

	if (s->worker->ioreq)
		vg_ioreq_release(s->worker->ioreq, s->mmio);
}

static const struct vg_mmio_ops mmio_ops = {
	.interrupt = interrupt,
	.reset_done = reset_done,
};

/* ---- a device ---- */

/* Where the registers are kept: the supervisor's file, or memory that ends with this process. */
static int map_state(struct worker *w, struct served *s)
{
	int fd = w->state_device == s->id ? w->state_fd : -1;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at;

	at = mmap(NULL, sizeof(*s->state), PROT_READ | PROT_WRITE, flags, fd,
		  fd < 0 ? 0 : VGD_STATE_OFFSET);
	worker_mmio_state(w, 0, -1);
	if (at == MAP_FAILED)
		return -errno;
	s->state = at;
	return 0;
}

/* The file is this device's, as long as its registers are not mapped. */
static int keep_server(void *opaque, uint16_t id)
{
	const struct served *s = opaque;
	const struct worker *w = s->worker;

	return w->state_fd >= 0 && w->state_device == s->id ? vgd_state_keep_server(w->state_fd, id)
							    : 0;
}

static int open_server(struct worker *w, struct served *s, const struct vg_ipc_attach *a)
{
	const struct vg_dm_config dm = {
		.domid = w->options->domid,
		.log = w->log,
	};
	struct vg_ioreq_config config = {
		.evtchn = w->evtchn,
		.domid = w->options->domid,
		.adopt = a->ioreq,
		.created = keep_server,
		.opaque = s,
		.log = w->log,
	};
	int ret = 0;

	if (w->ioreq)
		return 0;
	if (!w->dm)
		ret = vg_dm_open(&dm, &w->dm);
	if (ret)
		return ret;
	config.dm = w->dm;
	ret = vg_ioreq_open(&config, &w->ioreq);
	if (!ret)
		vg_info(w->log,
			"dom%u: virtio-mmio over IOREQ server %u: this domain may map all of the "
			"guest's memory, and that it maps only what was granted is kept by "
			"vgrantd, not by Xen",
			w->options->domid, vg_ioreq_id(w->ioreq));
	return ret;
}

int worker_mmio_open(struct worker *w, struct served *s, const struct vg_ipc_attach *a)
{
	const struct vg_mmio_ops *ops = &mmio_ops;
	int ret = open_server(w, s, a);

	if (!ret)
		ret = map_state(w, s);
	if (ret)
		return ret;
	/* The supervisor has seen to it; the guest's first device may have had another interrupt.
	 */
	if (a->irq_kind == VG_IPC_IRQ_ISA)
		vg_dm_is_hvm(w->dm);
	s->irq_kind = a->irq_kind;
	s->irq = a->irq;
	const struct vg_mmio_config config = {
		.device = s->dev,
		.state = s->state,
		.ops = ops,
		.opaque = s,
		.log = w->log,
		.label = s->label,
	};

	ret = vg_mmio_create(&config, &s->mmio);
	if (!ret)
		ret = vg_ioreq_add(w->ioreq, a->base, s->mmio);
	if (!ret)
		ret = vg_ioreq_start(w->ioreq);
	if (!ret)
		vg_mmio_wake(s->mmio);
	return ret;
}

static bool last_one(const struct worker *w)
{
	for (const struct served *s = w->served; s; s = s->next)
		if (s->mmio)
			return false;
	return true;
}

void worker_mmio_close(struct worker *w, struct served *s, bool leave)
{
	bool had = s->mmio;

	if (had)
		vg_ioreq_remove(w->ioreq, s->mmio, leave);
	/* A pin that takes levels would interrupt the guest for ever. */
	if (had && !leave && s->irq_kind == VG_IPC_IRQ_ISA)
		vg_dm_set_isa_irq(w->dm, (uint8_t)s->irq, false);
	vg_mmio_destroy(s->mmio);
	s->mmio = NULL;
	if (s->state)
		munmap(s->state, sizeof(*s->state));
	s->state = NULL;
	if (s->irq_port)
		vg_evtchn_unbind(w->evtchn, s->irq_port);
	s->irq_port = 0;
	/* An attempt to attach that came to nothing leaves nothing. */
	w->left |= had && leave && s->ending;
	if (!last_one(w))
		return;
	vg_ioreq_close(w->ioreq, !leave && !w->left);
	vg_dm_close(w->dm);
	w->left = false;
	w->ioreq = NULL;
	w->dm = NULL;
}

void worker_mmio_state(struct worker *w, uint32_t device, int fd)
{
	if (w->state_fd >= 0)
		close(w->state_fd);
	w->state_fd = fd;
	w->state_device = device;
}

int worker_mmio_bind(struct worker *w, struct served *s, uint32_t port)
{
	int ret;

	if (s->irq_port)
		vg_evtchn_unbind(w->evtchn, s->irq_port);
	s->irq_port = 0;
	if (!port)
		return 0;
	ret = vg_evtchn_bind(w->evtchn, w->options->domid, port);
	if (ret < 0)
		return ret;
	s->irq_port = ret;
	vg_mmio_wake(s->mmio);
	return 0;
}

static bool driver_ok(const struct served *s)
{
	return s->state->status & VG_STATUS_DRIVER_OK;
}

void worker_mmio_tell(struct worker *w, struct served *s, uint64_t now_ms)
{
	if (driver_ok(s) == s->driver || now_ms < s->driver_ms)
		return;
	s->driver = driver_ok(s);
	s->driver_ms = now_ms + TELL_MS;
	/* Asked at each look, so the message, which is large, is made only now. */
	worker_answer(w, &(const struct vg_ipc_msg){
				 .type = VG_IPC_DRIVER, .device = s->id, .u.driver = s->driver});
}

int worker_mmio_timeout(const struct served *s, uint64_t now_ms)
{
	int timeout = vg_mmio_timeout(s->mmio, now_ms);
	int tell;

	if (driver_ok(s) == s->driver)
		return timeout;
	tell = s->driver_ms > now_ms ? (int)(s->driver_ms - now_ms) : 0;
	return timeout >= 0 && timeout < tell ? timeout : tell;
}

/* Of a line of /proc/PID/maps, which begins with "FROM-TO". */
static uint64_t range_pages(const char *line)
{
	char *end;
	uint64_t from = strtoull(line, &end, 16);

	return *end == '-' ? (strtoull(end + 1, NULL, 16) - from) >> VG_PAGE_SHIFT : 0;
}

/*
 * Pages of the guest that this process has mapped as device models do: what the kernel says is
 * mapped through privcmd, but for the page of I/O requests.
 */
uint64_t worker_mmio_foreign_pages(const struct worker *w)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t pages = 0;
	char line[512];

	if (!maps)
		return 0;
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "privcmd"))
			pages += range_pages(line);
	fclose(maps);
	return w->ioreq && pages ? pages - 1 : pages;
}
