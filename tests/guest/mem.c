// SPDX-License-Identifier: MIT
/* Granted memory, and the regions in which it is declared (spec/virtio-xen.md, "Regions"). */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"

/* Frame numbers of @pages. A real guest kernel knows them; user space learns them only from the
 * simulated hypervisor (tests/sim/include/xensim.h), which is looked for when the program runs. */
static int find_frames(struct vgg *g, struct vgg_pages *pages)
{
	int64_t (*gfn)(xengntshr_handle *, const void *) =
		(int64_t(*)(xengntshr_handle *, const void *))dlsym(RTLD_DEFAULT, "xensim_gfn");

	if (!gfn)
		return vgg_fail(g, -EOPNOTSUPP,
				"guest-physical addresses are known only on the simulated "
				"hypervisor");
	pages->frames = calloc(pages->count, sizeof(*pages->frames));
	if (!pages->frames)
		return vgg_fail(g, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < pages->count; i++) {
		int64_t frame = gfn(g->gntshr, pages->base + (size_t)i * VGG_PAGE);

		if (frame < 0)
			return vgg_fail(g, -EIO, "a page has no frame number");
		pages->frames[i] = (uint64_t)frame;
	}
	return 0;
}

/* Once, so that a request of many pages costs no more than one of one. */
static int find_runs(struct vgg *g, struct vgg_pages *pages)
{
	pages->run = calloc(pages->count, sizeof(*pages->run));
	if (!pages->run)
		return vgg_fail(g, -ENOMEM, "out of memory");
	pages->run[pages->count - 1] = 1;
	for (uint32_t i = pages->count - 1; i-- > 0;) {
		bool follows = pages->frames ? pages->frames[i + 1] == pages->frames[i] + 1
					     : pages->refs[i + 1] == pages->refs[i] + 1;

		pages->run[i] = follows ? pages->run[i + 1] + 1 : 1;
	}
	return 0;
}

int vgg_share(struct vgg *g, uint32_t count, bool writable, struct vgg_pages *pages)
{
	int err;

	*pages = (struct vgg_pages){.count = count, .writable = writable};
	pages->refs = calloc(count, sizeof(*pages->refs));
	if (!pages->refs)
		return vgg_fail(g, -ENOMEM, "out of memory");
	pages->base = xengntshr_share_pages(g->gntshr, g->backend_domid, (int)count, pages->refs,
					    writable);
	if (!pages->base) {
		err = errno ? -errno : -EIO;
		free(pages->refs);
		*pages = (struct vgg_pages){0};
		return vgg_fail(g, err,
				"cannot grant %u pages (%s): Linux's limit is the parameter "
				"'limit' of the module xen-gntalloc",
				count, strerror(-err));
	}
	memset(pages->base, 0, (size_t)count * VGG_PAGE);
	g->stats.grants_made += count;
	for (uint32_t i = 0; i < count; i++)
		if (pages->refs[i] > g->highest_ref)
			g->highest_ref = pages->refs[i];
	err = g->foreign ? find_frames(g, pages) : 0;
	if (!err)
		err = find_runs(g, pages);
	if (err)
		vgg_unshare(g, pages);
	return err;
}

/* Consecutive references, or frames, from page @at on. */
static uint32_t run_length(const struct vgg_pages *pages, uint32_t at)
{
	uint32_t left = pages->count - at;

	return pages->run[at] < left ? pages->run[at] : left;
}

static const char *status_words(int status)
{
	static const char *const words[] = {
		[VG_BUS_OK] = "done",
		[VG_BUS_BUSY] = "busy",
		[VG_BUS_INVALID] = "invalid",
		[VG_BUS_EXISTS] = "overlaps a region",
		[VG_BUS_NO_SPACE] = "past the guest's quota",
		[VG_BUS_REFUSED] = "the hypervisor refused",
	};

	return status >= 0 && status < (int)(sizeof(words) / sizeof(words[0])) ? words[status]
									       : "unknown status";
}

/* Asks for the removal of one region until it is done, at most the time-out. */
static int remove_region(struct vgg *g, uint32_t first, uint32_t count)
{
	uint64_t deadline = vgg_now_ms() + g->timeout_ms;
	const struct timespec pause = {.tv_nsec = 5000000};
	int status;

	while ((status = vgg_region_request(g, VG_MSG_BUS_REGION_REMOVE, first, count, 0)) ==
		       VG_BUS_BUSY &&
	       vgg_left_ms(deadline))
		nanosleep(&pause, NULL);
	if (status < 0)
		return status;
	if (status != VG_BUS_OK)
		return vgg_fail(g, status == VG_BUS_BUSY ? -EBUSY : -EPROTO,
				"REGION_REMOVE of %u references from %u: %s", count, first,
				status_words(status));
	g->stats.regions_removed++;
	return 0;
}

int vgg_declare(struct vgg *g, struct vgg_pages *pages)
{
	uint32_t flags = pages->writable ? 0 : VG_BUS_REGION_READ_ONLY;

	if (pages->frames || g->mmio) /* there is no message for it */
		return 0;
	for (uint32_t at = 0, n; at < pages->count; at += n) {
		int status;

		n = run_length(pages, at);
		status = vgg_region_request(g, VG_MSG_BUS_REGION_ADD, pages->refs[at], n, flags);
		if (status == VG_BUS_OK) {
			g->stats.regions_added++;
			continue;
		}
		for (uint32_t done = 0, m; done < at; done += m) {
			m = run_length(pages, done);
			remove_region(g, pages->refs[done], m);
		}
		if (status < 0)
			return status;
		return vgg_fail(g, status == VG_BUS_NO_SPACE ? -EDQUOT : -EPROTO,
				"REGION_ADD of %u references from %u: %s", n, pages->refs[at],
				status_words(status));
	}
	pages->declared = true;
	return 0;
}

int vgg_undeclare(struct vgg *g, struct vgg_pages *pages)
{
	for (uint32_t at = 0, n; pages->declared && at < pages->count; at += n) {
		int err;

		n = run_length(pages, at);
		err = remove_region(g, pages->refs[at], n);
		if (err)
			return err;
	}
	pages->declared = false;
	return 0;
}

int vgg_unshare(struct vgg *g, struct vgg_pages *pages)
{
	int err = 0;

	if (!pages->base)
		return 0;
	if (pages->slice) {
		*pages = (struct vgg_pages){0};
		return 0;
	}
	/* Without a connection there are no regions. */
	if (pages->declared && g->ctl && !g->over)
		err = vgg_undeclare(g, pages);
	if (err)
		goto out;
	if (xengntshr_unshare(g->gntshr, pages->base, pages->count))
		err = vgg_fail(g, -errno, "cannot end %u grants from %u: %s", pages->count,
			       pages->refs[0], strerror(errno));
	else
		g->stats.grants_ended += pages->count;
out:
	free(pages->refs);
	free(pages->frames);
	free(pages->run);
	*pages = (struct vgg_pages){0};
	return err;
}

void vgg_slice(const struct vgg_pages *all, uint32_t first, uint32_t count, struct vgg_pages *out)
{
	*out = (struct vgg_pages){
		.base = all->base + (size_t)first * VGG_PAGE,
		.count = count,
		.refs = all->refs + first,
		.frames = all->frames ? all->frames + first : NULL,
		.run = all->run + first,
		.writable = all->writable,
		.declared = all->declared,
		.slice = true,
	};
}

uint64_t vgg_address(const struct vgg_pages *pages, size_t offset)
{
	if (pages->frames)
		return pages->frames[offset / VGG_PAGE] << VG_PAGE_SHIFT | offset % VGG_PAGE;
	return VG_ADDR_GRANT | (uint64_t)pages->refs[offset / VGG_PAGE] << VG_PAGE_SHIFT |
	       offset % VGG_PAGE;
}

int vgg_segments(const struct vgg_pages *pages, size_t offset, size_t len, struct vgg_seg *segs,
		 unsigned int max)
{
	unsigned int n = 0;

	while (len) {
		uint32_t page = (uint32_t)(offset / VGG_PAGE);
		size_t within = offset % VGG_PAGE;
		size_t piece = (size_t)run_length(pages, page) * VGG_PAGE - within;

		if (piece > len)
			piece = len;
		if (n == max)
			return -ENOSPC;
		segs[n++] = (struct vgg_seg){vgg_address(pages, offset), (uint32_t)piece};
		offset += piece;
		len -= piece;
	}
	return (int)n;
}

int vgg_find_run(const struct vgg_pages *pages, uint32_t count)
{
	for (uint32_t at = 0, n; at < pages->count; at += n) {
		n = run_length(pages, at);
		if (n >= count)
			return (int)at;
	}
	return -ENOENT;
}
