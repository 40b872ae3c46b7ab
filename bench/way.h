/* SPDX-License-Identifier: MIT */
/* How a backend reaches guest memory, and where a guest's buffers lie: what there is of either. */
#ifndef BENCH_WAY_H
#define BENCH_WAY_H

#include <stdbool.h>

struct way {
	const char *name;
	const char *daemon;   /* in the build tree; NULL: a yardstick, measured without a device */
	const char *copy_max; /* vgrantd's option, or NULL */
	bool whole_guest;     /* maps all of the guest, which needs privilege over it */
	bool regions;         /* the guest declares all that it uses as regions */
};

enum { WAY_FOREIGN, WAY_REGION, WAY_COPY, WAY_MAP, WAY_MAP_BATCH, WAY_MEMCPY, WAY_EVENTFD, WAYS };

struct policy {
	const char *name;
	const char *mode; /* vgguest's option */
	bool regions;     /* needs a way that has them */
	bool bounces;
};

enum { POLICY_DIRECT, POLICY_BOUNCE, POLICY_FAT, POLICY_GRANT, POLICY_HYBRID, POLICIES };

extern const struct way ways[WAYS];
extern const struct policy policies[POLICIES], no_policy;
/* NULL at the end: for list_names(). */
extern const char *const way_names[WAYS + 1], *const policy_names[POLICIES + 1];

/* NULL, or why the two do not go together. (With all of the guest mapped, policies are of no use.)
 */
const char *way_refuses(const struct way *way, const struct policy *policy);

#endif
