// SPDX-License-Identifier: MIT
#include "way.h"

#include <stddef.h>

#define VGRANTD "backend/vgrantd/vgrantd"

const struct way ways[WAYS] = {
	[WAY_FOREIGN] = {.name = "foreign", .daemon = "bench/vgrantd-foreign", .whole_guest = true},
	[WAY_REGION] = {.name = "region", .daemon = VGRANTD, .regions = true},
	[WAY_COPY] = {.name = "copy", .daemon = VGRANTD, .copy_max = "1048576"},
	[WAY_MAP] = {.name = "map", .daemon = "bench/vgrantd-map", .copy_max = "0"},
	[WAY_MAP_BATCH] = {.name = "map-batch", .daemon = VGRANTD, .copy_max = "0"},
	[WAY_MEMCPY] = {.name = "memcpy"},
	[WAY_EVENTFD] = {.name = "eventfd"},
};

const struct policy policies[POLICIES] = {
	[POLICY_DIRECT] = {.name = "direct", .mode = "region", .regions = true},
	[POLICY_BOUNCE] = {.name = "bounce", .mode = "bounce", .regions = true, .bounces = true},
	[POLICY_FAT] = {.name = "fat", .mode = "fat", .regions = true, .bounces = true},
	[POLICY_GRANT] = {.name = "grant", .mode = "grant"},
	[POLICY_HYBRID] = {.name = "hybrid", .mode = "hybrid"},
};

const struct policy no_policy = {.name = "none"};

const char *const way_names[WAYS + 1] = {"foreign",   "region", "copy",    "map",
					 "map-batch", "memcpy", "eventfd", NULL};
const char *const policy_names[POLICIES + 1] = {"direct", "bounce", "fat", "grant", "hybrid", NULL};

const char *way_refuses(const struct way *way, const struct policy *policy)
{
	if (way->regions && !policy->regions)
		return "with this policy buffers are granted for each request, and lie in no "
		       "region";
	if (!way->regions && policy->regions)
		return "with this policy all buffers lie in regions, which are mapped once: "
		       "nothing is copied or mapped for a request";
	return NULL;
}
