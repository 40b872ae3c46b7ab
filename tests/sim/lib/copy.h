/* SPDX-License-Identifier: MIT */
#ifndef SIM_COPY_H
#define SIM_COPY_H

#include <stdint.h>

struct xengntdev_handle;

/* Arena index of a domain, alive or dying; -1 when there is none. */
int sim_owner_index(struct xengntdev_handle *xgt, uint32_t domid);

#endif
