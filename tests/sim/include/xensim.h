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

/* ---- a vCPU, and the devices that an IOREQ server has ---- */

struct xensim_cpu;

/* vCPU @vcpu of this process's domain: one user at a time. NULL and errno on failure. */
struct xensim_cpu *xensim_cpu_open(unsigned int vcpu);
void xensim_cpu_close(struct xensim_cpu *cpu);

struct xensim_access {
	uint64_t addr;
	uint32_t size, count; /* 1, 2, 4, 8; and 1: but anything can be tried */
	int write, ptr, df;
	uint32_t type; /* IOREQ_TYPE_COPY and others */
};

/*
 * One access: *value is written, or gets what was read. Waits for the answer, also for that of an
 * emulator that is still to come. 0; -EFAULT: no IOREQ server has the address, what on Xen is an
 * abort or all bits set; -ETIMEDOUT: the access stays pending; -EBUSY: an earlier one is.
 */
int xensim_access(struct xensim_cpu *cpu, const struct xensim_access *access, uint64_t *value,
		  unsigned int timeout_ms);

/* An eventfd, readable when the interrupt line has been raised; the caller's. Negative errno. */
int xensim_irq_fd(struct xensim_cpu *cpu, unsigned int line);

#endif
