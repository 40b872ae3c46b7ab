/* SPDX-License-Identifier: MIT */
/*
 * What a simulated guest can do beyond the real libraries: the sim's libxengnttab.so.1 exports
 * these. A guest kernel has all of it; /dev/xen/gntalloc gives user space only a part.
 * None of these blocks, but for the first four, which ask xensim once.
 */
#ifndef XENSIM_H
#define XENSIM_H

#include <stdint.h>

#include <xengnttab.h>

#define XENSIM_READONLY    1u
#define XENSIM_SCATTER     2u /* no two references that follow each other, if that can be had */
#define XENSIM_NO_ACCESS   4u /* pages and references, but nothing granted yet */
#define XENSIM_CONSECUTIVE 8u /* whatever XENSIM_REFS in the environment says */

/*
 * Like xengntshr_share_pages, which takes the order of its references from XENSIM_REFS in the
 * environment ("consecutive", the default, or "scatter"). The pages are zeroed. They are given
 * back with xengntshr_unshare. NULL and errno on failure.
 */
void *xensim_share_pages(xengntshr_handle *xgs, uint32_t domid, uint32_t count, uint32_t *refs,
			 unsigned int flags);

/* Reserve `count` references without pages, for xensim_grant_access; -1 and errno on failure. */
int xensim_alloc_refs(xengntshr_handle *xgs, uint32_t count, uint32_t *refs, unsigned int flags);

/* Give references of xensim_alloc_refs back; one still in use is kept until its mappings go. */
int xensim_free_refs(xengntshr_handle *xgs, uint32_t count, const uint32_t *refs);

/*
 * Grant frame `gfn` of this domain to `domid` through a reference that is inactive: after
 * xensim_end_access, or one that came with XENSIM_NO_ACCESS or from xensim_alloc_refs.
 * 0, -EBUSY while the reference is active, -EINVAL for what does not exist.
 */
int xensim_grant_access(xengntshr_handle *xgs, uint32_t ref, uint32_t domid, uint64_t gfn,
			int readonly);

/*
 * End access unless the page is mapped or being copied, in one atomic step: 0 or -EBUSY. The
 * reference stays this handle's.
 */
int xensim_end_access(xengntshr_handle *xgs, uint32_t ref);

/* 1 while the other domain has the page mapped or copies it, 0 if not, -EINVAL. */
int xensim_in_use(xengntshr_handle *xgs, uint32_t ref);

/* Frame number of a page that this handle has shared, or -1: for foreign mappings. */
int64_t xensim_gfn(xengntshr_handle *xgs, const void *page);

/* This process's domain id. */
uint32_t xensim_domid(xengntshr_handle *xgs);

#endif
