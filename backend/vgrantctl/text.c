// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* The length of the well-formed UTF-8 character at @s, and the character; or 0. */
static size_t decode(const unsigned char *s, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80             ? 1
		     : (s[0] & 0xe0) == 0xc0 ? 2
		     : (s[0] & 0xf0) == 0xe0 ? 3
		     : (s[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t c = len < 2 ? s[0] : s[0] & (0x7fU >> len);

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (!len || c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*character = c;
	return len;
}

/* Shows as itself and does nothing else: no controls, nothing invisible, nothing that turns the
 * direction of writing. */
static bool printable(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} refused[] = {
		{0x00, 0x1f},     {'\\', '\\'},     {0x7f, 0x9f},        {0xad, 0xad},
		{0x61c, 0x61c},   {0x180e, 0x180e}, {0x200b, 0x200f},    {0x2028, 0x202e},
		{0x2060, 0x206f}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},    {0xfeff, 0xfeff},
		{0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (c >= refused[i].first && c <= refused[i].last)
			return false;
	}
	return true;
}

const char *shown(char *buf, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	/* Room for the longest thing that one step adds, and the NUL. */
	while (*s && at + 5 < SHOWN_MAX) {
		uint32_t c = 0;
		size_t len = decode(s, &c);

		if (len && printable(c)) {
			memcpy(buf + at, s, len);
			at += len;
			s += len;
		} else {
			at += (size_t)snprintf(buf + at, SHOWN_MAX - at, "\\x%02x", *s);
			s++;
		}
	}
	buf[at] = '\0';
	return buf;
}

json_t *json_text(const char *text)
{
	static const char replacement[] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */
	const unsigned char *s = (const unsigned char *)text;
	char *copy = malloc(sizeof(replacement) * strlen(text) + 1);
	size_t at = 0;
	json_t *json;

	if (!copy)
		return NULL;
	while (*s) {
		uint32_t c;
		size_t len = decode(s, &c);

		if (len) {
			memcpy(copy + at, s, len);
			at += len;
			s += len;
		} else {
			memcpy(copy + at, replacement, sizeof(replacement));
			at += sizeof(replacement);
			s++;
		}
	}
	json = json_stringn(copy, at);
	free(copy);
	return json;
}

int print_json(json_t *json)
{
	int rc;

	if (!json)
		return failure("out of memory");
	/* ASCII only: a terminal is told nothing by it. */
	rc = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_SORT_KEYS);
	json_decref(json);
	if (rc || putchar('\n') == EOF)
		return failure("cannot write the output");
	return 0;
}
