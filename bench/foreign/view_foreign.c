// SPDX-License-Identifier: MIT
/*
 * The insecure baseline: <vgrant/view.h> as a device model with privilege over its guest would
 * implement it. All of the guest's memory is mapped once, an address is a guest-physical one, and
 * reaching a byte is a bounds check and an addition. It takes the place of transport/memory when
 * vgrantd-foreign is linked; vgrantd itself cannot contain it.
 *
 * The guest's size comes from VGRANT_FOREIGN_PAGES, as a toolstack would tell a device model.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <xenforeignmemory.h>

#include <vgrant/view.h>

struct vg_view {
	void VG_GUEST *base;
	uint64_t size;
	unsigned int open;
	xenforeignmemory_handle *fmem;
	size_t pages;
	const struct vg_log *log;
	struct vg_view_stats stats;
};

static int map_guest(struct vg_view *view, uint16_t domid)
{
	const char *text = getenv("VGRANT_FOREIGN_PAGES");
	unsigned long pages = text ? strtoul(text, NULL, 10) : 0;
	xen_pfn_t *frame = NULL;
	int *error = NULL;
	void *base;
	int ret = -ENOMEM;

	if (!pages || pages > UINT32_MAX)
		return -EINVAL;
	frame = calloc(pages, sizeof(*frame));
	error = calloc(pages, sizeof(*error));
	if (!frame || !error)
		goto out;
	for (unsigned long i = 0; i < pages; i++)
		frame[i] = i;
	base = xenforeignmemory_map(view->fmem, domid, PROT_READ | PROT_WRITE, pages, frame, error);
	ret = -EPERM;
	if (!base)
		goto out;
	view->base = (void VG_GUEST *)(uintptr_t)base;
	view->pages = pages;
	for (unsigned long i = 0; i < pages; i++)
		if (error[i])
			goto out;
	view->size = (uint64_t)pages << VG_PAGE_SHIFT;
	view->stats.pages_mapped = view->stats.pages_mapped_peak = pages;
	view->stats.pages_reached = pages;
	ret = 0;
out:
	free(frame);
	free(error);
	return ret;
}

int vg_view_create(const struct vg_view_config *config, struct vg_view **out)
{
	struct vg_view *view = calloc(1, sizeof(*view));
	int ret = -ENOMEM;

	if (!view)
		return ret;
	view->log = config->log;
	view->fmem = xenforeignmemory_open(NULL, 0);
	ret = view->fmem ? map_guest(view, config->domid) : -errno;
	if (ret) {
		vg_err(config->log,
		       "dom%u cannot be mapped whole: this needs privilege over it, and "
		       "VGRANT_FOREIGN_PAGES to say how large it is",
		       config->domid);
		vg_view_destroy(view);
		return ret;
	}
	*out = view;
	return 0;
}

/* There are no regions. */
bool vg_view_let_go(struct vg_view *view)
{
	(void)view;
	return true;
}

void vg_view_destroy(struct vg_view *view)
{
	if (!view)
		return;
	if (view->base)
		xenforeignmemory_unmap(view->fmem, VG_GUEST_RAW(void, view->base), view->pages);
	if (view->fmem)
		xenforeignmemory_close(view->fmem);
	free(view);
}

void vg_view_get_stats(const struct vg_view *view, struct vg_view_stats *stats)
{
	*stats = view->stats;
}

/* Nothing is copied. */
void vg_view_trim(struct vg_view *view)
{
	(void)view;
}

unsigned int vg_view_copy_slots(const struct vg_view *view)
{
	(void)view;
	return 0;
}

/* Nothing is granted, so there is nothing to declare. */
int vg_view_region_add(struct vg_view *view, uint32_t first, uint32_t count, bool writable)
{
	(void)view;
	(void)first;
	(void)count;
	(void)writable;
	return -EINVAL;
}

int vg_view_region_remove(struct vg_view *view, uint32_t first, uint32_t count)
{
	(void)view;
	(void)first;
	(void)count;
	return -ENOENT;
}

static inline void VG_GUEST *reach(const struct vg_view *view, uint64_t addr, uint64_t len)
{
	if (addr > view->size || len > view->size - addr)
		return NULL;
	return vg_guest_offset(view->base, addr);
}

int vg_view_pin(struct vg_view *view, uint64_t addr, uint32_t len, bool writable,
		struct vg_pin *pin)
{
	(void)writable;
	*pin = (struct vg_pin){.ptr = reach(view, addr, len)};
	return pin->ptr ? 0 : -EFAULT;
}

void vg_view_unpin(struct vg_view *view, struct vg_pin *pin)
{
	(void)view;
	*pin = (struct vg_pin){0};
}

int vg_view_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len)
{
	const void VG_GUEST *src = reach(view, addr, len);

	if (!src)
		return -EFAULT;
	vg_guest_copy_from(dst, src, len);
	return 0;
}

int vg_view_read_queue(struct vg_view *view, struct vg_request *req, uint64_t addr, void *dst,
		       uint32_t len)
{
	(void)req;
	return vg_view_read(view, addr, dst, len);
}

void vg_view_read_flush(struct vg_view *view)
{
	(void)view;
}

int vg_view_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len)
{
	void VG_GUEST *dst = reach(view, addr, len);

	if (!dst)
		return -EFAULT;
	vg_guest_copy_to(dst, src, len);
	return 0;
}

/* ---- requests: the hot path ---- */

static int resolve(const struct vg_view *view, struct vg_request *req)
{
	unsigned int segments = req->out_segments + req->in_segments;
	uint64_t len[2] = {0, 0};

	for (unsigned int i = 0; i < segments; i++) {
		const struct vg_segment *seg = &req->segment[i];

		req->iov[i].base = reach(view, seg->addr, seg->len);
		req->iov[i].len = seg->len;
		if (!req->iov[i].base || !seg->len)
			return -EFAULT;
		len[i >= req->out_segments] += seg->len;
	}
	if (len[0] + len[1] > VG_REQUEST_BYTES)
		return -E2BIG;
	req->out_len = (uint32_t)len[0];
	req->in_len = (uint32_t)len[1];
	req->out_iovs = req->out_segments;
	req->in_iovs = req->in_segments;
	return 0;
}

void vg_view_open(struct vg_view *view, struct vg_request *const *requests, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct vg_request *req = requests[i];

		req->error = resolve(view, req);
		if (__builtin_expect(req->error, 0)) {
			req->out_len = req->in_len = 0;
			req->out_iovs = req->in_iovs = 0;
			view->stats.faults++;
		}
	}
	view->open += n;
	view->stats.requests += n;
}

void vg_view_close(struct vg_view *view, struct vg_request *const *requests,
		   const uint32_t *written, unsigned int n)
{
	(void)requests;
	(void)written;
	view->open -= n;
}

unsigned int vg_view_open_requests(const struct vg_view *view)
{
	return view->open;
}
