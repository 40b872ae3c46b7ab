// SPDX-License-Identifier: MIT
/*
 * The memory view and the virtqueue over the guest's granted pages: rings and buffers lie in them.
 * The driver's part is done from this end, through the mapping, so that only the device's is timed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "micro.h"

#define RING    256
#define F_NEXT  1
#define F_WRITE 2
#define RINGS   2
#define PAGES   4 /* of a ring: descriptors, available, used; and headers */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* One ring in the guest's memory, as it is reached here. */
struct micro_ring {
	struct vg_pin pin[PAGES];
	uint16_t idx;
};

static uint64_t address(const struct micro *m, unsigned int page)
{
	return vg_addr_make(m->guest.refs[page], 0);
}

/* Chains that lie ready: of one descriptor, a page to be written; of three, as a disk's read. */
static void lay_out(const struct micro *m, const struct micro_ring *ring, unsigned int first,
		    bool three)
{
	unsigned int chain = three ? 3 : 1, chains = three ? RING / 4 : RING;
	const unsigned int buffers = RINGS * PAGES;

	for (unsigned int c = 0; c < chains; c++) {
		uint64_t data = address(m, buffers + c % (MICRO_PAGES - buffers));
		uint64_t header = address(m, first + 3) + c * 32;
		struct desc d[3] = {{data, VG_PAGE_SIZE, F_WRITE, 0}};

		if (three) {
			uint16_t at = (uint16_t)(3 * c);

			d[0] = (struct desc){header, 16, F_NEXT, (uint16_t)(at + 1)};
			d[1] = (struct desc){data, VG_PAGE_SIZE, F_NEXT | F_WRITE,
					     (uint16_t)(at + 2)};
			d[2] = (struct desc){header + 16, 1, F_WRITE, 0};
		}
		vg_guest_copy_to(vg_guest_offset(ring->pin[0].ptr, c * chain * sizeof(*d)), d,
				 chain * sizeof(*d));
	}
	/* Flags: no interrupt. */
	vg_guest_store16((uint16_t VG_GUEST *)ring->pin[1].ptr, 1);
	for (unsigned int i = 0; i < RING; i++)
		vg_guest_store16((uint16_t VG_GUEST *)vg_guest_offset(ring->pin[1].ptr, 4 + 2 * i),
				 (uint16_t)(i % chains * chain));
}

static int make_ring(struct micro *m, unsigned int index)
{
	const struct vg_vq_config config = {
		.view = m->view,
		.size = RING,
		.desc_addr = address(m, index * PAGES),
		.driver_addr = address(m, index * PAGES + 1),
		.device_addr = address(m, index * PAGES + 2),
	};
	struct micro_ring *ring = calloc(1, sizeof(*ring));
	int err = 0;

	m->ring[index] = ring;
	if (!ring)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < PAGES; i++)
		err = vg_view_pin(m->view, address(m, index * PAGES + i), VG_PAGE_SIZE, true,
				  &ring->pin[i]);
	if (err)
		return err;
	for (unsigned int i = 0; i < PAGES; i++) {
		static const char zero[VG_PAGE_SIZE];

		vg_guest_copy_to(ring->pin[i].ptr, zero, VG_PAGE_SIZE);
	}
	lay_out(m, ring, index * PAGES, index == 1);
	return vg_vq_create(&config, &m->vq[index]);
}

/* References need not be consecutive: as many regions as there are runs. Rings are in regions of a
 * page, so that the buffers' are the ones found last. */
static int add_regions(struct micro *m)
{
	unsigned int i = 0;
	int err = 0;

	while (!err && i < MICRO_PAGES) {
		unsigned int n = 1;

		while (i >= RINGS * PAGES && i + n < MICRO_PAGES &&
		       m->guest.refs[i + n] == m->guest.refs[i] + n)
			n++;
		err = vg_view_region_add(m->view, m->guest.refs[i], n, true);
		i += n;
	}
	return err;
}

int micro_view_open(struct micro *m)
{
	struct vg_view_config config = {
		.domid = m->guest.domid,
		.gnttab = m->gnttab,
		.quota = &m->quota,
		.max_requests = RING,
	};
	int err;

	m->quota = (struct vg_quota){.max_pages = 4096};
	m->request = calloc(1, sizeof(*m->request));
	err = m->request ? vg_view_create(&config, &m->view) : -ENOMEM;
	if (!err)
		err = add_regions(m);
	for (unsigned int i = 0; !err && i < RINGS; i++)
		err = make_ring(m, i);
	return err ? micro_failed(err, "no virtqueue over domain %u's pages", m->guest.domid) : 0;
}

void micro_view_close(struct micro *m)
{
	for (unsigned int i = 0; i < RINGS; i++) {
		vg_vq_destroy(m->vq[i]);
		for (unsigned int k = 0; m->ring[i] && k < PAGES; k++)
			if (m->ring[i]->pin[k].ptr)
				vg_view_unpin(m->view, &m->ring[i]->pin[k]);
		free(m->ring[i]);
	}
	vg_view_destroy(m->view);
	free(m->request);
}

int micro_run_chains(struct micro *m, unsigned int index, unsigned int count, double *ns)
{
	struct vg_element *elem[MICRO_BATCH];
	struct micro_ring *ring = m->ring[index];
	uint16_t VG_GUEST *avail =
		(uint16_t VG_GUEST *)vg_guest_offset(ring->pin[1].ptr, sizeof(uint16_t));
	double from = micro_now();

	for (unsigned int i = 0; i < count; i++) {
		ring->idx = (uint16_t)(ring->idx + MICRO_BATCH);
		vg_guest_store16_release(avail, ring->idx);
		if (vg_vq_pop(m->vq[index], elem, MICRO_BATCH) != MICRO_BATCH)
			return micro_failed(-EPROTO, "not all chains were there");
		for (unsigned int k = 0; k < MICRO_BATCH; k++) {
			if (elem[k]->req.error)
				return micro_failed(elem[k]->req.error,
						    "a chain cannot be reached");
			vg_vq_complete(m->vq[index], elem[k], elem[k]->req.in_len);
		}
		vg_vq_flush(m->vq[index]);
	}
	*ns = micro_now() - from;
	return 0;
}

/* 64 addresses of a request: in one region, or in two by turns, for each segment another than last.
 */
int micro_run_resolve(struct micro *m, unsigned int other, unsigned int count, double *ns)
{
	const uint32_t written = 0;
	struct vg_request *req = m->request;
	double from;

	req->out_segments = 0;
	req->in_segments = 64;
	for (unsigned int i = 0; i < 64; i++)
		req->segment[i] = (struct vg_segment){/* Rings' pages are regions of their own; four
						       * segments share a memory of the last. */
						      address(m, other ? i / 4 % 2 : 0), 64};
	from = micro_now();
	for (unsigned int i = 0; i < count; i++) {
		vg_view_open(m->view, &req, 1);
		if (req->error)
			return micro_failed(req->error, "an address cannot be resolved");
		vg_view_close(m->view, &req, &written, 1);
	}
	*ns = micro_now() - from;
	return 0;
}
