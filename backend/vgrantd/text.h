/* SPDX-License-Identifier: MIT */
/* Strings that came from somewhere else and are about to be shown. */
#ifndef VGRANTD_TEXT_H
#define VGRANTD_TEXT_H

#include <stddef.h>

/* Replaces, in place, every byte that is not printable ASCII by '?': for logs and for xenstore. */
void vgd_printable(char *text);

#endif
