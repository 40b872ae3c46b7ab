/* SPDX-License-Identifier: MIT */
/* The simulated machine that a bench runs on: xensim, its domains, and programs in them. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdarg.h>

#include "proc.h"

#define PATH_LEN 1024
#define LIMIT_MS 60000 /* for what takes no time on an idle machine */

struct machine {
	char dir[PATH_LEN];   /* made for it, removed at the end; '\0': none */
	char build[PATH_LEN]; /* the build tree that this program was built in */
	struct proc hub;
};

struct domain {
	const char *name;
	unsigned int id;
	unsigned int mem_mib; /* 0: the default */
	unsigned int grants;  /* entries of its grant table; 0: the default */
	bool privileged;
};

/* Says what went wrong, to standard error, and returns @err. */
__attribute__((format(printf, 2, 3))) int complain(int err, const char *fmt, ...);

int machine_start(struct machine *m, const struct domain *domains, unsigned int n);
/* All that runs in it must have ended. Removes its directory. */
void machine_stop(struct machine *m);

/* Path of @name's log, which machine_start_in() and machine_ctl() write. */
void machine_log(const struct machine *m, const char *name, char path[PATH_LEN]);
/* The last lines of that log, to standard error: after something went wrong. */
void machine_show_log(const struct machine *m, const char *name);

/* Starts @program (a path in the build tree) with @args, NULL at the end, in a domain. */
struct program {
	const char *name; /* of its log */
	const char *path;
	const char *const *args;
	const char *env_name, *env_value;
	bool pipes;
	const struct proc *host; /* see proc.h */
};

int machine_start_in(const struct machine *m, unsigned int domid, const struct program *program,
		     struct proc *p);
/* vgrantctl in domain 0, to its end. *text, unless @text is NULL, is the caller's: what it wrote.
 * -EIO: it failed. */
int machine_ctl(const struct machine *m, const char *const *args, char **text);

#endif
