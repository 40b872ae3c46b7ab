// SPDX-License-Identifier: MIT
/* Looking for the pattern, and the thread that does it all the time. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vgrant/guest.h>
#include <vgrant/view.h>
#include <xengnttab.h>

#include "hostile.h"

#define BATCH     64 /* pages */
#define SIGHTINGS 10 /* that are told one by one */
#define REPORT_MS 5000

HOSTILE_WRAP(int, xengnttab_grant_copy, xengnttab_handle *xgt, uint32_t count,
	     xengnttab_grant_copy_segment_t *segs);

static uint64_t seen_in[VG_MAX_REFS / 64]; /* bitmap of references, by atomic operations */

/*
 * A copy of what others write to at this moment. Word by word and unknown to ThreadSanitizer: that
 * it races is its purpose.
 */
__attribute__((no_sanitize("thread"), noinline)) static void peek(void *dst, const void *src,
								  size_t len)
{
	const volatile uint64_t *from = src;
	uint64_t *to = dst;

	for (size_t i = 0; i < len / sizeof(*to); i++)
		to[i] = from[i];
}

static void sighting(const char *what, uint32_t ref, uint32_t offset)
{
	uint64_t bit = UINT64_C(1) << ref % 64;

	if (ref < VG_MAX_REFS &&
	    !(__atomic_fetch_or(&seen_in[ref / 64], bit, __ATOMIC_RELAXED) & bit))
		hostile_count(&hostile_counters.pages, 1);
	if (__atomic_fetch_add(&hostile_counters.found, 1, __ATOMIC_RELAXED) < SIGHTINGS)
		hostile_say("found in a page %s: reference %u, byte %u", what, ref, offset);
}

/* What begins in the first @len bytes of @bytes, of which @all are there. */
static void search(const uint8_t *bytes, size_t len, size_t all, const uint32_t *refs,
		   const char *what)
{
	size_t at = 0;

	while (at < len) {
		const uint8_t *hit =
			memmem(bytes + at, all - at, hostile.pattern, hostile.pattern_len);

		if (!hit || (size_t)(hit - bytes) >= len)
			break;
		at = (size_t)(hit - bytes);
		sighting(what, refs[at >> VG_PAGE_SHIFT], at & VG_PAGE_MASK);
		at++;
	}
	hostile_count(&hostile_counters.kib, len >> 10);
}

void hostile_scan(const void *base, const uint32_t *refs, uint32_t count, const char *what)
{
	/* One page more than is searched: the pattern may begin in one and end in the next. */
	static _Thread_local uint64_t copy[(BATCH + 1) * VG_PAGE_SIZE / sizeof(uint64_t)];

	for (uint32_t at = 0; at < count; at += BATCH) {
		uint32_t part = count - at < BATCH ? count - at : BATCH;
		uint32_t all = count - at < BATCH + 1 ? count - at : BATCH + 1;

		peek(copy, (const uint8_t *)base + ((size_t)at << VG_PAGE_SHIFT),
		     (size_t)all << VG_PAGE_SHIFT);
		search((const uint8_t *)copy, (size_t)part << VG_PAGE_SHIFT,
		       (size_t)all << VG_PAGE_SHIFT, refs + at, what);
	}
}

void hostile_scan_refs(void *gnttab, uint32_t domid, const uint32_t *refs, uint32_t count,
		       const char *what)
{
	static _Thread_local uint8_t page[BATCH][VG_PAGE_SIZE];
	xengnttab_grant_copy_segment_t segs[BATCH];

	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < BATCH ? count - at : BATCH;
		for (uint32_t i = 0; i < n; i++)
			segs[i] = (xengnttab_grant_copy_segment_t){
				.source.foreign = {.ref = refs[at + i], .domid = (uint16_t)domid},
				.dest.virt = page[i],
				.len = VG_PAGE_SIZE,
				.flags = GNTCOPY_source_gref,
				.status = GNTST_general_error,
			};
		if (__real_xengnttab_grant_copy(gnttab, n, segs))
			continue;
		for (uint32_t i = 0; i < n; i++)
			if (segs[i].status == GNTST_okay)
				search(page[i], VG_PAGE_SIZE, VG_PAGE_SIZE, &refs[at + i], what);
	}
}

/* ---- the second thread ---- */

static uint32_t guest;

/* What the guest granted without a word to anybody, or left granted. */
static void sweep(xengnttab_handle *gnttab)
{
	uint32_t refs[BATCH];

	for (uint32_t ref = 0; ref < hostile.sweep; ref += BATCH) {
		for (uint32_t i = 0; i < BATCH; i++)
			refs[i] = ref + i;
		hostile_scan_refs(gnttab, guest, refs, BATCH, "granted");
	}
}

static void *always(void *opaque)
{
	const struct timespec pause = {.tv_sec = hostile.every_ms / 1000,
				       .tv_nsec = hostile.every_ms % 1000 * 1000000L};
	uint64_t reported = hostile_now_ms();
	xengnttab_handle *gnttab = opaque;

	for (;;) {
		nanosleep(&pause, NULL);
		if (hostile.dump) {
			hostile_scan_all();
			sweep(gnttab);
			hostile_count(&hostile_counters.scans, 1);
		}
		hostile_write_stale();
		hostile_late_write(gnttab);
		if (hostile_now_ms() - reported >= REPORT_MS) {
			reported = hostile_now_ms();
			hostile_report();
		}
	}
	return NULL;
}

void hostile_begin(uint32_t domid)
{
	static bool begun;
	xengnttab_handle *gnttab;
	pthread_t thread;

	if (begun)
		return;
	begun = true;
	guest = domid;
	/* Its own, so that the worker's is used by one thread as vgrantd's own is. */
	gnttab = xengnttab_open(NULL, 0);
	if (!gnttab || pthread_create(&thread, NULL, always, gnttab)) {
		hostile_say("no second thread: nothing is looked at");
		return;
	}
	pthread_detach(thread);
	hostile_say("serving dom%u, and not only that", domid);
}
