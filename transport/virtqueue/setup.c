// SPDX-License-Identifier: MIT
/* Making and ending a split virtqueue. All of it cold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtqueue/split.h"

static int pin_rings(struct vg_virtqueue *vq, const struct vg_vq_config *config)
{
	/* Both rings are pinned with their event field, whether it is negotiated or not (2.7.10).
	 */
	const uint32_t desc_len = config->size * (uint32_t)sizeof(struct split_desc);
	const uint32_t avail_len = (uint32_t)sizeof(struct split_avail) + 2u * config->size + 2u;
	const uint32_t used_len = (uint32_t)sizeof(struct split_used) +
				  (uint32_t)sizeof(struct split_used_elem) * config->size + 2u;
	int ret;

	ret = vg_view_pin(vq->view, config->desc_addr, desc_len, false, &vq->pin[0]);
	if (!ret)
		ret = vg_view_pin(vq->view, config->driver_addr, avail_len, false, &vq->pin[1]);
	if (!ret)
		ret = vg_view_pin(vq->view, config->device_addr, used_len, true, &vq->pin[2]);
	if (ret)
		return ret;
	vq->desc = (const struct split_desc VG_GUEST *)vq->pin[0].ptr;
	vq->avail = (const struct split_avail VG_GUEST *)vq->pin[1].ptr;
	vq->used = (struct split_used VG_GUEST *)vq->pin[2].ptr;
	return 0;
}

static int make_elements(struct vg_virtqueue *vq, uint16_t count)
{
	vq->elem = calloc(count, sizeof(*vq->elem));
	vq->free_elem = calloc(count, sizeof(struct vg_element *));
	vq->done = calloc(count, sizeof(struct vg_element *));
	/* Each in a page of its own: one operation copies it. */
	vq->table = aligned_alloc(VG_PAGE_SIZE, VQ_BATCH * sizeof(*vq->table));
	if (!vq->elem || !vq->free_elem || !vq->done || !vq->table)
		return -ENOMEM;
	for (uint16_t i = 0; i < count; i++) {
		vq->elem[i].slot = i;
		/* Slot 0 on top: few requests in flight touch little memory. */
		vq->free_elem[count - 1 - i] = &vq->elem[i];
	}
	vq->num_elems = vq->num_free = count;
	return 0;
}

/*
 * Where the earlier process stopped. It marks heads as it takes them, in the ring's order, and
 * clears them after they are in the used ring: so what was used since the log was up to date is
 * not in flight, and what then is in flight was taken.
 */
static int resume(struct vg_virtqueue *vq)
{
	struct vg_vq_log *log = vq->log;
	uint16_t used = vg_guest_load16_acquire(&vq->used->idx);

	if ((uint16_t)(used - log->used) > vq->size)
		return -EPROTO;
	for (uint16_t i = log->used; i != used; i++) {
		uint32_t head = vg_guest_load32(&vq->used->ring[i & (vq->size - 1)].id);

		if (head < vq->size)
			vq_log_inflight(log, (uint16_t)head, 0);
	}
	__atomic_store_n(&log->used, used, __ATOMIC_RELEASE);
	vq->redo = calloc(vq->size, sizeof(*vq->redo));
	if (!vq->redo)
		return -ENOMEM;
	for (uint16_t head = 0; head < vq->size; head++)
		if (log->inflight[head])
			vq->redo[vq->num_redo++] = head;
	vq->used_idx = used;
	vq->last_avail = (uint16_t)(used + vq->num_redo);
	return 0;
}

int vg_vq_create(const struct vg_vq_config *config, struct vg_virtqueue **out)
{
	uint16_t count = config->max_inflight;
	struct vg_virtqueue *vq;
	int ret;

	if (config->size < 2 || config->size > VG_VQ_MAX_SIZE ||
	    (config->size & (config->size - 1)) || config->desc_addr % 16 ||
	    config->driver_addr % 2 || config->device_addr % 4)
		return -EINVAL;
	if (!count || count > config->size)
		count = config->size;
	vq = calloc(1, sizeof(*vq));
	if (!vq)
		return -ENOMEM;
	vq->view = config->view;
	vq->size = config->size;
	vq->indirect = config->indirect;
	vq->event_idx = config->event_idx;
	ret = make_elements(vq, count);
	if (!ret)
		ret = pin_rings(vq, config);
	if (!ret && config->log) {
		vq->log = config->log;
		if (config->resume)
			ret = resume(vq);
		else
			memset(vq->log, 0, sizeof(*vq->log));
	}
	if (ret)
		goto out;
	*out = vq;
	return 0;
out:
	vg_vq_destroy(vq);
	return ret;
}

void vg_vq_destroy(struct vg_virtqueue *vq)
{
	if (!vq)
		return;
	for (unsigned int i = 0; i < 3; i++)
		vg_view_unpin(vq->view, &vq->pin[i]);
	free(vq->elem);
	free(vq->free_elem);
	free(vq->done);
	free(vq->table);
	free(vq->redo);
	free(vq);
}

bool vg_vq_is_broken(const struct vg_virtqueue *vq)
{
	return vq->broken != NULL;
}

const char *vg_vq_broken_reason(const struct vg_virtqueue *vq)
{
	return vq->broken;
}
