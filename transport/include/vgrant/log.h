/* SPDX-License-Identifier: MIT */
/*
 * The injected logger. The library never writes to a stream of its own accord: every object that
 * may have something to say is given a struct vg_log by its creator. A NULL logger is silent.
 * Nothing on the request path logs.
 */
#ifndef VGRANT_LOG_H
#define VGRANT_LOG_H

#include <stdarg.h>

#pragma GCC visibility push(default)

enum vg_log_level {
	VG_LOG_ERROR, /* something does not work, and the text says how to mend it */
	VG_LOG_WARN,  /* a guest or an administrator did something wrong; service goes on */
	VG_LOG_INFO,  /* a device came, changed or went */
	VG_LOG_DEBUG,
};

struct vg_log {
	/* Must not block for long and must not call back into the library. */
	void (*emit)(void *opaque, enum vg_log_level level, const char *fmt, va_list ap);
	void *opaque;
};

/* Formats one line (no newline at its end) to @log, which may be NULL. */
__attribute__((format(printf, 3, 4))) void vg_log(const struct vg_log *log, enum vg_log_level level,
						  const char *fmt, ...);

#define vg_err(log, ...)  vg_log(log, VG_LOG_ERROR, __VA_ARGS__)
#define vg_warn(log, ...) vg_log(log, VG_LOG_WARN, __VA_ARGS__)
#define vg_info(log, ...) vg_log(log, VG_LOG_INFO, __VA_ARGS__)
#define vg_dbg(log, ...)  vg_log(log, VG_LOG_DEBUG, __VA_ARGS__)

#pragma GCC visibility pop

#endif
