// SPDX-License-Identifier: MIT
/*
 * Owner of the grant device handle, over libxengnttab.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xengnttab.h>
#include <xentoollog.h>

#include <vgrant/xen.h>

#include "xen/errors.h"

/* References of one mapping: 2 GiB. What the library computes from a count fits well below it. */
#define MAX_MAP (UINT32_C(1) << 19)
/* References that vg_gnttab_map_range() lists on the stack. */
#define STACK_REFS 512
/* The kernel waits between tries of its own before it reports GNTST_eagain, so ours do not. */
#define COPY_TRIES 4

struct vg_gnttab {
	xengnttab_handle *handle;
};

/*
 * The library logs each map and copy that Xen refuses, which a guest can cause at will, and without
 * a logger of ours it does so on stderr.
 */
__attribute__((format(printf, 5, 0))) static void discard_message(struct xentoollog_logger *logger,
								  xentoollog_level level,
								  int errnum, const char *context,
								  const char *format, va_list ap)
{
	(void)logger;
	(void)level;
	(void)errnum;
	(void)context;
	(void)format;
	(void)ap;
}

static struct xentoollog_logger silent = {.vmessage = discard_message};

int vg_gnttab_open(const struct vg_log *log, struct vg_gnttab **out)
{
	struct vg_gnttab *gnttab;
	long page_size = sysconf(_SC_PAGESIZE);
	int ret;

	if (page_size != VG_PAGE_SIZE) {
		vg_err(log,
		       "this kernel has pages of %ld bytes, but a grant is one page of %u bytes: "
		       "use a kernel built with 4 KiB pages in the backend's domain",
		       page_size, VG_PAGE_SIZE);
		return -EOPNOTSUPP;
	}

	gnttab = calloc(1, sizeof(*gnttab));
	if (!gnttab)
		return -ENOMEM;
	errno = 0;
	gnttab->handle = xengnttab_open(&silent, 0);
	if (!gnttab->handle) {
		ret = vg_xen_error();
		vg_xen_open_failed(log, "/dev/xen/gntdev", "xen-gntdev", ret);
		free(gnttab);
		return ret;
	}
	*out = gnttab;
	return 0;
}

void vg_gnttab_close(struct vg_gnttab *gnttab)
{
	if (!gnttab)
		return;
	xengnttab_close(gnttab->handle);
	free(gnttab);
}

int vg_gnttab_map(struct vg_gnttab *gnttab, uint16_t domid, const uint32_t *refs, uint32_t count,
		  bool writable, void VG_GUEST **out)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *base;

	if (!count || count > MAX_MAP)
		return -EINVAL;
	errno = 0;
	/* The library only reads the references. */
	base = xengnttab_map_domain_grant_refs(gnttab->handle, count, domid,
					       (uint32_t *)(uintptr_t)refs, prot);
	if (!base)
		return vg_xen_error();
	*out = (void VG_GUEST *)(uintptr_t)base;
	return 0;
}

int vg_gnttab_map_range(struct vg_gnttab *gnttab, uint16_t domid, uint32_t first, uint32_t count,
			bool writable, void VG_GUEST **out)
{
	uint32_t on_stack[STACK_REFS];
	uint32_t *refs = on_stack;
	int ret;

	if (!count || count > MAX_MAP || count - 1 > UINT32_MAX - first)
		return -EINVAL;
	if (count > STACK_REFS) {
		refs = malloc(count * sizeof(*refs));
		if (!refs)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		refs[i] = first + i;
	ret = vg_gnttab_map(gnttab, domid, refs, count, writable, out);
	if (refs != on_stack)
		free(refs);
	return ret;
}

int vg_gnttab_unmap(struct vg_gnttab *gnttab, void VG_GUEST *base, uint32_t count)
{
	errno = 0;
	if (xengnttab_unmap(gnttab->handle, VG_GUEST_RAW(void, base), count))
		return vg_xen_error();
	return 0;
}

/* ---- copy: the request path ---- */

static int copy_status(int16_t status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_eagain:
		return -EAGAIN;
	case GNTST_bad_domain:
		return -ENXIO;
	case GNTST_bad_gntref:
	case GNTST_bad_page:
	case GNTST_bad_copy_arg:
		return -EFAULT;
	case GNTST_general_error: /* what Xen says of an entry that does not allow the access */
	case GNTST_permission_denied:
		return -EACCES;
	default:
		return -EIO;
	}
}

static void fill_segment(xengnttab_grant_copy_segment_t *seg, uint16_t domid,
			 const struct vg_copy *piece)
{
	union xengnttab_copy_ptr guest = {
		.foreign = {.ref = piece->ref, .offset = piece->offset, .domid = domid}};
	union xengnttab_copy_ptr local = {.virt = piece->local};

	*seg = (xengnttab_grant_copy_segment_t){
		.source = piece->to_guest ? local : guest,
		.dest = piece->to_guest ? guest : local,
		.len = piece->len,
		.flags = piece->to_guest ? GNTCOPY_dest_gref : GNTCOPY_source_gref,
		.status = GNTST_general_error,
	};
}

/* Copies the @n pieces at @todo, and leaves there, at its start, those that had GNTST_eagain. */
static unsigned int copy_once(struct vg_gnttab *gnttab, uint16_t domid, struct vg_copy **todo,
			      unsigned int n)
{
	xengnttab_grant_copy_segment_t segs[VG_COPY_BATCH];
	unsigned int again = 0;

	for (unsigned int i = 0; i < n; i++)
		fill_segment(&segs[i], domid, todo[i]);
	errno = 0;
	if (xengnttab_grant_copy(gnttab->handle, n, segs)) {
		/* The kernel may have stopped anywhere, so no segment's own status means much. */
		int err = vg_xen_error();

		for (unsigned int i = 0; i < n; i++)
			todo[i]->status = err;
		return 0;
	}
	for (unsigned int i = 0; i < n; i++) {
		todo[i]->status = copy_status(segs[i].status);
		if (segs[i].status == GNTST_eagain)
			todo[again++] = todo[i];
	}
	return again;
}

int vg_gnttab_copy(struct vg_gnttab *gnttab, uint16_t domid, struct vg_copy *pieces, unsigned int n)
{
	struct vg_copy *todo[VG_COPY_BATCH];
	unsigned int next = 0;
	int ret = 0;

	while (next < n) {
		unsigned int count = 0;

		for (; next < n && count < VG_COPY_BATCH; next++) {
			/* One bad range would fail the whole call. */
			if ((uint32_t)pieces[next].offset + pieces[next].len > VG_PAGE_SIZE)
				pieces[next].status = -EFAULT;
			else
				todo[count++] = &pieces[next];
		}
		for (int tries = 0; count && tries < COPY_TRIES; tries++)
			count = copy_once(gnttab, domid, todo, count);
	}
	for (unsigned int i = 0; i < n && !ret; i++)
		ret = pieces[i].status;
	return ret;
}
