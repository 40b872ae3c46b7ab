// SPDX-License-Identifier: MIT
/*
 * The same driver over virtio-mmio (virtio 1.3, section 4.2): what it asks of the device by message
 * is done with registers, which are touched by a vCPU of the simulated hypervisor
 * (tests/sim/include/xensim.h), looked for when the program runs.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"
#include "mmio.h"

#define TYPE_COPY 1 /* of an access: plain memory-mapped I/O */

struct access {
	uint64_t addr;
	uint32_t size, count;
	int write, ptr, df;
	uint32_t type;
};

struct vgg_mmio {
	void *cpu;
	void (*close)(void *cpu);
	int (*access)(void *cpu, const struct access *access, uint64_t *value, unsigned int ms);
	uint64_t base;
	int irq_fd; /* the interrupt line, or -1: an event channel */
};

enum {
	MAGIC = 0x000,
	DEVICE_ID = 0x008,
	VENDOR_ID = 0x00c,
	DEVICE_FEATURES = 0x010,
	DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	QUEUE_SEL = 0x030,
	QUEUE_SIZE_MAX = 0x034,
	QUEUE_SIZE = 0x038,
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_STATUS = 0x060,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC = 0x080,
	QUEUE_DRIVER = 0x090,
	QUEUE_DEVICE = 0x0a0,
	CONFIG_GENERATION = 0x0fc,
	CONFIG = 0x100,
};

static int touch(struct vgg *g, uint32_t offset, uint32_t size, bool write, uint64_t *value)
{
	const struct access access = {.addr = g->mmio->base + offset,
				      .size = size,
				      .count = 1,
				      .write = write,
				      .type = TYPE_COPY};
	int err = g->mmio->access(g->mmio->cpu, &access, value, g->timeout_ms);

	if (err)
		return vgg_fail(g, err, "register 0x%03x: %s", offset,
				err == -EFAULT ? "nobody answers" : strerror(-err));
	return 0;
}

static int rd(struct vgg *g, uint32_t offset, uint32_t *value)
{
	uint64_t v = 0;
	int err = touch(g, offset, 4, false, &v);

	*value = (uint32_t)v;
	return err;
}

static int wr(struct vgg *g, uint32_t offset, uint32_t value)
{
	uint64_t v = value;

	return touch(g, offset, 4, true, &v);
}

static int wr64(struct vgg *g, uint32_t offset, uint64_t value)
{
	int err = wr(g, offset, (uint32_t)value);

	return err ? err : wr(g, offset + 4, (uint32_t)(value >> 32));
}

/* ---- what messages do elsewhere ---- */

static int get_info(struct vgg *g, struct vg_msg *resp)
{
	int err = rd(g, DEVICE_ID, &resp->info.device_id);

	if (!err)
		err = rd(g, VENDOR_ID, &resp->info.vendor_id);
	/* These a driver is not told. */
	resp->info.feature_bits = 64;
	resp->info.config_size = 0;
	resp->info.max_vqueues = VGG_MAX_QUEUES;
	return err;
}

static int get_features(struct vgg *g, const struct vg_msg *req, struct vg_msg *resp)
{
	int err = 0;

	resp->features = req->features;
	for (uint32_t i = 0; i < req->features.count && !err; i++) {
		err = wr(g, DEVICE_FEATURES_SEL, req->features.index + i);
		if (!err)
			err = rd(g, DEVICE_FEATURES, &resp->features.block[i]);
	}
	return err;
}

static int set_features(struct vgg *g, const struct vg_msg *req)
{
	int err = 0;

	for (uint32_t i = 0; i < req->features.count && !err; i++) {
		err = wr(g, DRIVER_FEATURES_SEL, req->features.index + i);
		if (!err)
			err = wr(g, DRIVER_FEATURES, req->features.block[i]);
	}
	return err;
}

/* Consistent: read anew while the generation changes. */
static int get_config(struct vgg *g, const struct vg_msg *req, struct vg_msg *resp)
{
	uint32_t before, after = 0;
	int err = rd(g, CONFIG_GENERATION, &before);

	resp->config.offset = req->config.offset;
	resp->config.length = req->config.length;
	while (!err) {
		for (uint32_t i = 0; i < req->config.length && !err; i++) {
			uint64_t byte = 0;

			err = touch(g, CONFIG + req->config.offset + i, 1, false, &byte);
			resp->config.data[i] = (uint8_t)byte;
		}
		if (!err)
			err = rd(g, CONFIG_GENERATION, &after);
		if (before == after)
			break;
		before = after;
	}
	resp->config.generation = after;
	return err;
}

static int get_queue(struct vgg *g, const struct vg_msg *req, struct vg_msg *resp)
{
	uint32_t ready;
	int err = wr(g, QUEUE_SEL, req->vqueue.index);

	if (!err)
		err = rd(g, QUEUE_SIZE_MAX, &resp->vqueue.max_size);
	if (!err)
		err = rd(g, QUEUE_READY, &ready);
	if (!err)
		resp->vqueue.size = ready ? g->mmio_queue_size : 0;
	return err;
}

static int set_queue(struct vgg *g, const struct vg_msg *req)
{
	uint32_t ready;
	int err = wr(g, QUEUE_SEL, req->vqueue.index);

	if (!err)
		err = rd(g, QUEUE_READY, &ready);
	if (!err && ready)
		err = vgg_fail(g, -EBUSY, "queue %u is ready before it is set up",
			       req->vqueue.index);
	if (!err)
		err = wr(g, QUEUE_SIZE, req->vqueue.size);
	if (!err)
		err = wr64(g, QUEUE_DESC, req->vqueue.desc_addr);
	if (!err)
		err = wr64(g, QUEUE_DRIVER, req->vqueue.driver_addr);
	if (!err)
		err = wr64(g, QUEUE_DEVICE, req->vqueue.device_addr);
	if (!err)
		err = wr(g, QUEUE_READY, 1);
	g->mmio_queue_size = req->vqueue.size;
	return err;
}

int vgg_mmio_request(struct vgg *g, const struct vg_msg *req, struct vg_msg *resp)
{
	int err;

	switch (req->id) {
	case VG_MSG_GET_DEVICE_INFO:
		return get_info(g, resp);
	case VG_MSG_GET_DEVICE_FEATURES:
		return get_features(g, req, resp);
	case VG_MSG_SET_DRIVER_FEATURES:
		return set_features(g, req);
	case VG_MSG_GET_CONFIG:
		return get_config(g, req, resp);
	case VG_MSG_SET_DEVICE_STATUS:
		err = wr(g, STATUS, req->status.status);
		return err ? err : rd(g, STATUS, &resp->status.status);
	case VG_MSG_GET_DEVICE_STATUS:
		return rd(g, STATUS, &resp->status.status);
	case VG_MSG_GET_VQUEUE:
		return get_queue(g, req, resp);
	case VG_MSG_SET_VQUEUE:
		return set_queue(g, req);
	default:
		return vgg_fail(g, -EOPNOTSUPP, "virtio-mmio has nothing for message 0x%02x",
				req->id);
	}
}

int vgg_mmio_kick(struct vgg *g, uint16_t index)
{
	g->stats.kicks++;
	return wr(g, QUEUE_NOTIFY, index);
}

/* ---- interrupts ---- */

int vgg_mmio_irq_fd(const struct vgg *g)
{
	return g->mmio ? g->mmio->irq_fd : -1;
}

int vgg_mmio_interrupt(struct vgg *g)
{
	uint64_t edges;
	uint32_t status;
	int err;

	if (g->mmio->irq_fd >= 0 && read(g->mmio->irq_fd, &edges, sizeof(edges)) > 0)
		g->stats.interrupts++;
	err = rd(g, INTERRUPT_STATUS, &status);
	if (!err && status)
		err = wr(g, INTERRUPT_ACK, status);
	if (!err && status & 2) {
		uint32_t device;

		g->config_events++;
		err = rd(g, STATUS, &device);
		g->config_status = (uint8_t)device;
	}
	return err;
}

/* ---- begin and end ---- */

static int find_cpu(struct vgg *g, unsigned int vcpu)
{
	union {
		void *symbol;
		void *(*open)(unsigned int vcpu);
		void (*close)(void *cpu);
		int (*access)(void *cpu, const struct access *access, uint64_t *value,
			      unsigned int ms);
	} open, close, access;

	open.symbol = dlsym(RTLD_DEFAULT, "xensim_cpu_open");
	close.symbol = dlsym(RTLD_DEFAULT, "xensim_cpu_close");
	access.symbol = dlsym(RTLD_DEFAULT, "xensim_access");
	if (!open.symbol || !close.symbol || !access.symbol)
		return vgg_fail(g, -EOPNOTSUPP,
				"virtio-mmio can be had in user space only on the simulated "
				"hypervisor");
	g->mmio->close = close.close;
	g->mmio->access = access.access;
	g->mmio->cpu = open.open(vcpu);
	return g->mmio->cpu ? 0 : vgg_fail(g, -errno, "no vCPU %u: %s", vcpu, strerror(errno));
}

int vgg_mmio_open(struct vgg *g, unsigned int vcpu, unsigned int line, uint64_t base)
{
	union {
		void *symbol;
		int (*irq_fd)(void *cpu, unsigned int line);
	} irq = {.symbol = dlsym(RTLD_DEFAULT, "xensim_irq_fd")};
	uint32_t magic;
	int err;

	g->mmio = calloc(1, sizeof(*g->mmio));
	if (!g->mmio)
		return vgg_fail(g, -ENOMEM, "out of memory");
	g->mmio->base = base;
	g->mmio->irq_fd = -1;
	err = find_cpu(g, vcpu);
	if (!err && line) {
		g->mmio->irq_fd = irq.irq_fd(g->mmio->cpu, line);
		if (g->mmio->irq_fd < 0)
			err = vgg_fail(g, g->mmio->irq_fd, "no interrupt line %u", line);
	}
	if (!err)
		err = rd(g, MAGIC, &magic);
	if (!err && magic != 0x74726976)
		err = vgg_fail(g, -ENODEV, "there is no virtio-mmio at 0x%llx (0x%08x)",
			       (unsigned long long)base, magic);
	if (err)
		vgg_mmio_close(g);
	return err;
}

void vgg_mmio_close(struct vgg *g)
{
	if (!g->mmio)
		return;
	if (g->mmio->irq_fd >= 0)
		close(g->mmio->irq_fd);
	if (g->mmio->cpu)
		g->mmio->close(g->mmio->cpu);
	free(g->mmio);
	g->mmio = NULL;
}
