/* SPDX-License-Identifier: MIT */
/*
 * In-process fakes of <vgrant/xen.h>: one guest whose page of reference N is page N of a memfd, so
 * that the driver's and the device's mappings are different addresses of the same byte, as in life.
 */
#ifndef VGRANT_FAKE_XEN_H
#define VGRANT_FAKE_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/dm.h>
#include <vgrant/xen.h>

#define FAKE_DOMID 7
#define FAKE_REFS  4096

enum fake_op {
	FAKE_MAP,
	FAKE_UNMAP,
	FAKE_COPY, /* the status of one piece */
	FAKE_BIND,
	FAKE_NOTIFY,
	FAKE_CREATE,
	FAKE_ENABLE,
	FAKE_RANGE,
	FAKE_PAGE,
	FAKE_OPS,
};

/* A new guest: nothing granted, memory zero, no fault, counters zero. */
void fake_xen_reset(void);
/* Ends it. Returns false, and says what, when a page is still mapped or a port bound. */
bool fake_xen_clean(void);

struct vg_gnttab *fake_gnttab(void);
struct vg_evtchn *fake_evtchn(void);

/* Grants @count references from @first; returns the guest's own pointer to them. */
void *fake_grant(uint32_t first, uint32_t count, bool writable);
/* Ends access. False while the page is mapped: as gnttab_try_end_foreign_access(). */
bool fake_end_access(uint32_t ref);
/* The guest's own view of the page of @ref, granted or not. */
void *fake_page(uint32_t ref);

/* The next @count calls of @op after @skip good ones fail with @error. */
void fake_fail(enum fake_op op, unsigned int skip, unsigned int count, int error);

unsigned int fake_calls(enum fake_op op);
unsigned int fake_mapped_pages(void);
unsigned int fake_bound_ports(void);
/* How often the device has notified @remote_port. */
unsigned int fake_notified(uint32_t remote_port);
/* The driver offers a port that the device may bind. */
void fake_offer_port(uint32_t remote_port);
/* The driver notifies through its @remote_port: it becomes pending at the device. */
void fake_raise(uint32_t remote_port);

/* ---- device models ---- */

#define FAKE_SERVERS 4
#define FAKE_RANGES  80

/* fake_xen_reset() makes it one of two vCPUs without servers. */
struct vg_dm *fake_dm(void);
/* The page of requests of server @id, as Xen sees it. */
void *fake_dm_page(uint16_t id);
void fake_dm_vcpus(unsigned int vcpus);
bool fake_dm_server(uint16_t id); /* there and enabled */
bool fake_dm_range(uint16_t id, uint64_t start);
bool fake_dm_mapped(void);

#endif
