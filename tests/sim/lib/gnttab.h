/* SPDX-License-Identifier: MIT */
/* A gnttab or a gntshr handle: the real header gives both the same structure. */
#ifndef SIM_GNTTAB_H
#define SIM_GNTTAB_H

#include "client.h"

struct sim_run {
	uint32_t dom, frame; /* arena index and frame of one page */
};

struct xengntdev_handle {
	struct sim_client c;
	pthread_mutex_t lock; /* the tree of mappings */
	void *maps;           /* tsearch() of struct sim_map, or of struct sim_share, by address */
	_Atomic uint32_t track_hint, copy_hint;
	_Atomic uint32_t last_dom; /* where the previous domid was found */
};

/* Map pages one behind the other, with as few calls as runs of frames allow. NULL: errno. */
void *sim_map_pages(struct sim_client *c, const struct sim_run *run, uint32_t n, int prot);

#endif
