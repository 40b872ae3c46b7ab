/* SPDX-License-Identifier: MIT */
#ifndef VGRANT_FAKE_INTERNAL_H
#define VGRANT_FAKE_INTERNAL_H

#include "fake/fake_xen.h"

/* 0, or the error that the next call of @op is to have. */
int fake_fault(enum fake_op op);
void fake_evtchn_reset(void);
void fake_dm_reset(void);

#endif
