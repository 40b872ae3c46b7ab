// SPDX-License-Identifier: MIT
#include "list.h"

#include <string.h>

static bool add(struct list *list, uint64_t value)
{
	for (unsigned int i = 0; i < list->n; i++)
		if (list->value[i] == value)
			return true;
	if (list->n == LIST_MAX)
		return false;
	list->value[list->n++] = value;
	return true;
}

/* Takes digits and a unit off *text. */
static bool number(const char **text, uint64_t *value)
{
	static const char units[] = "kmg";
	const char *at = *text, *unit;

	*value = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (*value > UINT32_MAX)
			return false;
		*value = 10 * *value + (uint64_t)(*at - '0');
	}
	if (at == *text)
		return false;
	unit = *at ? strchr(units, *at | 0x20) : NULL;
	if (unit) {
		*value <<= 10 * (unsigned int)(unit - units + 1);
		at++;
	}
	*text = at;
	return true;
}

bool list_numbers(const char *text, uint64_t min, uint64_t max, struct list *list)
{
	*list = (struct list){.n = 0};
	for (;; text++) {
		uint64_t first, last;

		if (!number(&text, &first))
			return false;
		last = first;
		if (*text == '-') {
			text++;
			if (!number(&text, &last) || !first || last < first)
				return false;
		}
		if (first < min || last > max)
			return false;
		for (; first < last; first *= 2)
			if (!add(list, first))
				return false;
		if (!add(list, last))
			return false;
		if (!*text)
			return true;
		if (*text != ',')
			return false;
	}
}

static bool name(const char *word, size_t len, const char *const *names, struct list *list)
{
	bool all = len == 3 && !strncmp(word, "all", len), found = false;

	for (uint64_t i = 0; names[i]; i++) {
		if (!all && (strlen(names[i]) != len || strncmp(names[i], word, len) != 0))
			continue;
		found = true;
		if (!add(list, i))
			return false;
	}
	return found;
}

bool list_names(const char *text, const char *const *names, struct list *list)
{
	*list = (struct list){.n = 0};
	for (;; text++) {
		size_t len = strcspn(text, ",");

		if (!name(text, len, names, list))
			return false;
		text += len;
		if (!*text)
			return true;
	}
}
