/* SPDX-License-Identifier: MIT */
/*
 * vgrantd-hostile: vgrantd's own objects with hooks put between them by the linker (--wrap), so
 * that it serves I/O as vgrantd does and, beside that, does what README.md says. For tests of
 * guests: nothing installs it.
 *
 * Hooks run in a worker's one thread. A second thread looks at pages and writes through what is
 * stale for as long as the worker lives; table and counters are what both touch.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTILE_PATTERN_MAX 256

/* What of it never answers. */
enum hostile_mute {
	MUTE_NOTHING,
	MUTE_PROBE,   /* no message of the driver at all */
	MUTE_RUNNING, /* none after DRIVER_OK; requests are served */
	MUTE_IO,      /* requests are taken and never completed */
};

/* Where an index of the control page is moved to. */
enum hostile_prod {
	PROD_HONEST,
	PROD_BACK,
	PROD_FORWARD,
	PROD_CONS_BACK,
	PROD_CONS_FORWARD,
};

struct hostile_options {
	bool dump, stale, stale_copy, stale_pool, keep_region, busy_region, busy_reset, next;
	bool wild_id, wild_len;
	enum hostile_mute mute;
	enum hostile_prod prod;
	uint8_t pattern[HOSTILE_PATTERN_MAX];
	size_t pattern_len;
	uint32_t every_ms;  /* between looks at all pages, and between writes */
	uint32_t sweep;     /* references below this are tried, whether anybody named them or not */
	uint32_t after;     /* completions that are honest */
	uint32_t delay_ms;  /* after DRIVER_OK, before an index moves */
	uint32_t linger_ms; /* a worker that is to end says that it has let go, and lives on */
	uint32_t late_ms;   /* what is kept is written to so long after its time, not before */
	uint32_t stale_pages; /* kept mapped past their request, at most */
	uint32_t mark;        /* written late, after the words that are always there; 0: nothing */
};

extern struct hostile_options hostile;

/* What was done, for the log and vgrantctl stats. */
struct hostile_counters {
	uint64_t scans;   /* looks at all pages */
	uint64_t kib;     /* looked at */
	uint64_t found;   /* sightings of the pattern */
	uint64_t pages;   /* different references in whose page it was seen */
	uint64_t kept;    /* pages kept mapped that should not be */
	uint64_t stale;   /* pages written late */
	uint64_t refused; /* late writes that the hypervisor refused */
	uint64_t next;    /* descriptors given NEXT */
	uint64_t wild;    /* used elements with a wild id or length */
	uint64_t unanswered;
	uint64_t moved; /* indices */
};

extern struct hostile_counters hostile_counters;

/* What is written late. */
#define HOSTILE_MARK "vgrantd-hostile-was-here"
extern char hostile_mark[40];

static inline void hostile_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* options.c */
__attribute__((format(printf, 1, 2))) void hostile_say(const char *fmt, ...);
void hostile_report(void);
uint64_t hostile_now_ms(void);

/* pages.c: what is mapped. Who maps, is noted by the hooks around it. */
enum hostile_kind { KIND_CONTROL, KIND_RING, KIND_REGION, KIND_TRANSIENT };

void hostile_map_as(enum hostile_kind kind);
/* True: @len bytes at @ptr lie in one mapping that may be written. */
bool hostile_writable(const void *ptr, size_t len);
/* Where the @len bytes at bus address @addr are mapped for writing, or NULL. */
void *hostile_reach(uint64_t addr, size_t len);
/* Writes over @len bytes at @ptr if they lie in a mapping still. */
void hostile_overwrite(void *ptr, size_t len);
/* Another turn of what is done all the time, but for sweeping. */
void hostile_scan_all(void);
void hostile_write_stale(void);

/* scan.c */
/* Looks for the pattern in @count pages at @base, which other threads and the guest write to. */
void hostile_scan(const void *base, const uint32_t *refs, uint32_t count, const char *what);
/* The same in @count pages of @domid that are not mapped: the hypervisor is asked for each. */
void hostile_scan_refs(void *gnttab, uint32_t domid, const uint32_t *refs, uint32_t count,
		       const char *what);
/* Starts the second thread, once. @domid is the guest. */
void hostile_begin(uint32_t domid);

/* late.c: what is written after its time, without a mapping of its own. */
void hostile_late_write(void *gnttab);

/* The functions that the linker exchanges: name in vgrantd's objects, its own, ours. */
#define HOSTILE_WRAP(type, name, ...)                                                              \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

#endif
