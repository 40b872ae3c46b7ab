// SPDX-License-Identifier: MIT
#include "text.h"

void vgd_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}
