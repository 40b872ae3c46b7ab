// SPDX-License-Identifier: MIT
/* Bringing a virtio device up over virtio-msg (virtio 1.3, section 3.1). */
#include <time.h>

#include "internal.h"
#include "mmio.h"

#define ACKNOWLEDGE 0x01
#define DRIVER      0x02
#define DRIVER_OK   0x04
#define FEATURES_OK 0x08

int vgg_get_info(struct vgg *g, struct vgg_device_info *info)
{
	struct vg_msg req = {.id = VG_MSG_GET_DEVICE_INFO}, resp = {0};
	int err = vgg_request(g, &req, &resp);

	if (err)
		return err;
	*info = (struct vgg_device_info){
		.device_id = resp.info.device_id,
		.vendor_id = resp.info.vendor_id,
		.feature_bits = resp.info.feature_bits,
		.config_size = resp.info.config_size,
		.max_queues = resp.info.max_vqueues,
	};
	return 0;
}

int vgg_get_features(struct vgg *g, uint64_t *features)
{
	struct vg_msg req = {.id = VG_MSG_GET_DEVICE_FEATURES}, resp = {0};
	int err;

	req.features.index = 0;
	req.features.count = 2;
	err = vgg_request(g, &req, &resp);
	if (err)
		return err;
	if (resp.features.count < 2)
		return vgg_fail(g, -EPROTO, "the device answered with %u feature blocks of 2",
				resp.features.count);
	*features = resp.features.block[0] | (uint64_t)resp.features.block[1] << 32;
	return 0;
}

static int set_features(struct vgg *g, uint64_t features)
{
	struct vg_msg req = {.id = VG_MSG_SET_DRIVER_FEATURES}, resp = {0};

	req.features.index = 0;
	req.features.count = 2;
	req.features.block[0] = (uint32_t)features;
	req.features.block[1] = (uint32_t)(features >> 32);
	return vgg_request(g, &req, &resp);
}

int vgg_get_status(struct vgg *g, uint8_t *status)
{
	struct vg_msg req = {.id = VG_MSG_GET_DEVICE_STATUS}, resp = {0};
	int err = vgg_request(g, &req, &resp);

	if (!err)
		*status = (uint8_t)resp.status.status;
	return err;
}

int vgg_set_status(struct vgg *g, uint8_t status, uint8_t *result)
{
	struct vg_msg req = {.id = VG_MSG_SET_DEVICE_STATUS}, resp = {0};
	int err;

	req.status.status = status;
	err = vgg_request(g, &req, &resp);
	if (!err)
		*result = (uint8_t)resp.status.status;
	return err;
}

int vgg_read_config(struct vgg *g, uint32_t offset, void *data, uint32_t len, uint32_t *generation)
{
	struct vg_msg req = {.id = VG_MSG_GET_CONFIG}, resp = {0};
	int err;

	if (len > VG_MSG_MAX_DATA)
		return -EMSGSIZE;
	req.config.offset = offset;
	req.config.length = len;
	err = vgg_request(g, &req, &resp);
	if (err)
		return err;
	if (resp.config.length != len)
		return vgg_fail(g, -EINVAL, "the device gave %u of %u configuration bytes at %u",
				resp.config.length, len, offset);
	memcpy(data, resp.config.data, len);
	if (generation)
		*generation = resp.config.generation;
	return 0;
}

int vgg_reset(struct vgg *g)
{
	uint64_t deadline = vgg_now_ms() + g->timeout_ms;
	const struct timespec pause = {.tv_nsec = 5000000};
	uint8_t status = 0;
	int err;

	while (!(err = vgg_set_status(g, 0, &status)) && status) {
		if (!vgg_left_ms(deadline))
			return vgg_fail(g, -EBUSY,
					"the device did not reset within %u ms (status 0x%02x)",
					g->timeout_ms, status);
		nanosleep(&pause, NULL);
	}
	return err;
}

int vgg_negotiate(struct vgg *g, uint64_t wanted, uint64_t *features)
{
	uint64_t offered = 0;
	uint8_t status = 0;
	int err = vgg_reset(g);

	if (!err)
		err = vgg_set_status(g, ACKNOWLEDGE, &status);
	if (!err)
		err = vgg_set_status(g, ACKNOWLEDGE | DRIVER, &status);
	if (!err)
		err = vgg_get_features(g, &offered);
	if (err)
		return err;
	*features = offered & wanted;
	err = set_features(g, *features);
	if (!err)
		err = vgg_set_status(g, ACKNOWLEDGE | DRIVER | FEATURES_OK, &status);
	if (err)
		return err;
	if (!(status & FEATURES_OK))
		return vgg_fail(g, -ENOTSUP, "the device refuses the features 0x%llx",
				(unsigned long long)*features);
	return 0;
}

int vgg_driver_ok(struct vgg *g)
{
	uint8_t status = 0;
	int err = vgg_set_status(g, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, &status);

	if (!err && !(status & DRIVER_OK))
		err = vgg_fail(g, -EIO, "the device does not start (status 0x%02x)", status);
	return err;
}

int vgg_queue_max_size(struct vgg *g, uint16_t index)
{
	struct vg_msg req = {.id = VG_MSG_GET_VQUEUE}, resp = {0};
	int err;

	req.vqueue.index = index;
	err = vgg_request(g, &req, &resp);
	return err ? err : (int)resp.vqueue.max_size;
}

static int bind_port(struct vgg *g, uint16_t index, int port)
{
	struct vg_msg req = {.type = VG_MSG_BUS, .id = VG_MSG_BUS_VQ_BIND}, resp = {0};
	int err;

	req.bind.index = index;
	req.bind.port = (uint32_t)port;
	err = vgg_request(g, &req, &resp);
	if (!err && resp.status.status != VG_BUS_OK)
		err = vgg_fail(g, -EIO, "the backend does not bind queue %u: status %u", index,
			       resp.status.status);
	return err;
}

static uint32_t pages_of(uint32_t bytes)
{
	return (bytes + VGG_PAGE - 1) / VGG_PAGE;
}

uint32_t vgg_queue_pages(uint16_t size)
{
	return pages_of(VGG_DESC_BYTES(size)) + pages_of(VGG_AVAIL_BYTES(size)) +
	       pages_of(VGG_USED_BYTES(size));
}

/* Each area in pages of its own, which need consecutive references only if there are several. */
static int place_rings(struct vgg *g, struct vgg_queue *q, const struct vgg_pages *given,
		       uint16_t *size, bool event_idx)
{
	uint32_t desc = pages_of(VGG_DESC_BYTES(*size)), avail = pages_of(VGG_AVAIL_BYTES(*size));
	int err = 0;

	if (given)
		vgg_slice(given, 0, vgg_queue_pages(*size), &q->pages);
	else
		err = vgg_share(g, vgg_queue_pages(*size), true, &q->pages);
	if (err)
		return err;
	if (desc > 1 && vgg_find_run(&q->pages, q->pages.count) != 0) {
		err = vgg_unshare(g, &q->pages);
		*size = VGG_PAGE / sizeof(struct vgg_desc);
		return err ? err : place_rings(g, q, given, size, event_idx);
	}
	q->desc_addr = vgg_address(&q->pages, 0);
	q->avail_addr = vgg_address(&q->pages, (size_t)desc * VGG_PAGE);
	q->used_addr = vgg_address(&q->pages, (size_t)(desc + avail) * VGG_PAGE);
	return vgg_ring_init(&q->ring, *size, q->pages.base,
			     q->pages.base + (size_t)desc * VGG_PAGE,
			     q->pages.base + (size_t)(desc + avail) * VGG_PAGE, event_idx);
}

int vgg_queue_create(struct vgg *g, const struct vgg_queue_config *config, struct vgg_queue *q)
{
	struct vg_msg req = {.id = VG_MSG_SET_VQUEUE}, resp = {0};
	uint16_t size = config->size;
	int err;

	*q = (struct vgg_queue){.index = config->index};
	err = place_rings(g, q, config->pages, &size, config->event_idx);
	if (!err && config->declare && !config->pages)
		err = vgg_declare(g, &q->pages);
	if (!err && config->own_port) {
		err = vgg_port_alloc(g);
		if (err > 0) {
			q->port = err;
			err = bind_port(g, q->index, q->port);
		}
	}
	if (err)
		goto out;
	req.vqueue.index = q->index;
	req.vqueue.size = size;
	req.vqueue.desc_addr = q->desc_addr;
	req.vqueue.driver_addr = q->avail_addr;
	req.vqueue.device_addr = q->used_addr;
	err = vgg_request(g, &req, &resp);
	if (err)
		goto out;
	/* SET_VQUEUE has an empty answer: what became of it is seen by asking. */
	req = (struct vg_msg){.id = VG_MSG_GET_VQUEUE};
	req.vqueue.index = q->index;
	err = vgg_request(g, &req, &resp);
	if (err)
		goto out;
	if (resp.vqueue.size != size)
		err = vgg_fail(g, -EIO, "the device refuses queue %u of %u entries", q->index,
			       size);
	if (!err)
		return 0;
out:
	vgg_queue_destroy(g, q);
	return err;
}

int vgg_queue_destroy(struct vgg *g, struct vgg_queue *q)
{
	int err;

	vgg_ring_fini(&q->ring);
	vgg_port_free(g, q->port);
	q->port = 0;
	err = vgg_unshare(g, &q->pages);
	return err;
}

int vgg_kick(struct vgg *g, const struct vgg_queue *q)
{
	if (g->mmio)
		return vgg_mmio_kick(g, q->index);
	return vgg_port_notify(g, q->port ? q->port : g->port);
}
