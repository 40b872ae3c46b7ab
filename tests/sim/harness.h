/* SPDX-License-Identifier: MIT */
/* A xensim of its own for each test, and the handles of processes inside its domains. */
#ifndef SIM_HARNESS_H
#define SIM_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <check.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xensim.h>
#include <xenstore.h>

#define WAIT_MS 20000 /* for what should take milliseconds: the machine may be busy */

/* Start xensim with the given --domain arguments, NULL at the end. */
void sim_start(const char *const *domains);
void sim_stop(void);
const char *sim_dir(void);

/* Set the environment so that handles opened from now on are those of a domain. */
void sim_enter(unsigned int domid);

/* Run a program and wait for it; its standard output goes to `out`. Returns its exit status. */
int sim_command(char *out, size_t len, const char *line);

/* xensimctl; the reply, or NULL when it refused. Valid until the next call. */
const char *sim_ctl(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One number of a domain's line in `dump` or `stats`, -1 when the domain is not there. */
long sim_value(const char *command, unsigned int domid, const char *key);

/* Wait until a number of the dump is `want`; fails the test after WAIT_MS. */
void sim_wait_value(unsigned int domid, const char *key, long want);

xengnttab_handle *sim_gnttab(unsigned int domid);
xengntshr_handle *sim_gntshr(unsigned int domid);
xenevtchn_handle *sim_evtchn(unsigned int domid);
struct xs_handle *sim_xs(unsigned int domid);

/* Put a text on a page. */
void sim_text(char *page, const char *text);

/* Wait for a readable descriptor; false after `ms`. */
bool sim_readable(int fd, int ms);

/* The one segment copied from or to a grant; returns its status. */
int sim_copy_from(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, unsigned int off, void *to,
		  unsigned int len);
int sim_copy_to(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, unsigned int off,
		const void *from, unsigned int len);

/* Run one suite; what main() returns. */
int sim_run_suite(const char *name, TCase *const *cases, unsigned int n);

#endif
