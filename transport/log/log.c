// SPDX-License-Identifier: MIT
#include <vgrant/log.h>

void vg_log(const struct vg_log *log, enum vg_log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log || !log->emit)
		return;
	va_start(ap, fmt);
	log->emit(log->opaque, level, fmt, ap);
	va_end(ap);
}
