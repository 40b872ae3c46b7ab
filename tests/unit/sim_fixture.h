/* SPDX-License-Identifier: MIT */
/*
 * A simulated hypervisor for one test program: it is started in a directory of its own, the program
 * is run again inside, and both are gone afterwards. Domains 1 to 3 are there from the start.
 */
#ifndef VGRANT_SIM_FIXTURE_H
#define VGRANT_SIM_FIXTURE_H

#include <stdint.h>

#include <vgrant/log.h>

#define SIM_BACKEND   1 /* the domain whose handles are tested */
#define SIM_GUEST     2
#define SIM_OTHER     3 /* has few of everything: */
#define SIM_OTHER_MAX 8 /* maptrack slots and ports */

/* To be main(): @tests is run inside, and its result (0: all passed) is the program's. */
int sim_main(int (*tests)(void));

/* Handles opened from now on are those of @domid. */
void sim_enter(unsigned int domid);
/* Sends a command as xensimctl does, and fails the test when it is refused. Returns the answer,
 * which is valid until the next call. */
const char *sim_ctl(const char *line);
/* Replaces the fault rules of @domid (tests/sim/README.md). */
void sim_faults(unsigned int domid, const char *rules);
/* A number from xensim's statistics or state: "copy_segments", "in_use" … */
uint64_t sim_number(unsigned int domid, const char *name);

/* A log whose last line and number of lines can be looked at. */
extern const struct vg_log sim_log;
extern char sim_last_line[512];
extern unsigned int sim_log_lines;

#endif
