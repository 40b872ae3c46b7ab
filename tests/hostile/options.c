// SPDX-License-Identifier: MIT
/* VGRANT_HOSTILE, and what is said. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define EXIT_USAGE 2

struct hostile_options hostile = {
	.every_ms = 100,
	.sweep = 32768,
	.after = 64,
	.late_ms = 1000,
	.stale_pages = 1024,
};
struct hostile_counters hostile_counters;
char hostile_mark[40] = HOSTILE_MARK;

void hostile_say(const char *fmt, ...)
{
	static const char prefix[] = "vgrantd: hostile: ";
	char line[512];
	size_t len = sizeof(prefix) - 1;
	va_list ap;

	memcpy(line, prefix, len);
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	len = strlen(line);
	line[len++] = '\n';
	/* One write for a line, and a line that is lost harms nobody. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

uint64_t hostile_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void hostile_report(void)
{
	const struct hostile_counters *c = &hostile_counters;

#define NOW(name) __atomic_load_n(&c->name, __ATOMIC_RELAXED)
	hostile_say("found=%" PRIu64 " pages=%" PRIu64 " scans=%" PRIu64 " kib=%" PRIu64
		    " kept=%" PRIu64 " stale=%" PRIu64 " refused=%" PRIu64 " next=%" PRIu64
		    " wild=%" PRIu64 " unanswered=%" PRIu64 " moved=%" PRIu64,
		    NOW(found), NOW(pages), NOW(scans), NOW(kib), NOW(kept), NOW(stale),
		    NOW(refused), NOW(next), NOW(wild), NOW(unanswered), NOW(moved));
#undef NOW
}

/* ---- VGRANT_HOSTILE ---- */

static const char usage[] =
	"vgrantd-hostile: VGRANT_HOSTILE says what it does beside serving, words with commas "
	"between:\n"
	"  dump=TEXT, dump=@FILE   look for TEXT, or what FILE holds, in every page within reach\n"
	"  stale                   keep the mappings of requests, and write to them afterwards\n"
	"  stale-copy              write to the references of requests that are done\n"
	"  stale-pool              write to the buffers in regions of requests that are done\n"
	"  keep-region             answer REGION_REMOVE with OK and unmap nothing\n"
	"  busy[=region|reset]     answer that REGION_REMOVE and resets are not done yet, always\n"
	"  mute[=probe|running|io] answer no message, none after DRIVER_OK (default), no request\n"
	"  next                    set NEXT in the descriptors of all requests that are done\n"
	"  wild-used[=id|len]      used elements with wild ids and lengths\n"
	"  prod-back[=back|forward|cons-back|cons-forward]\n"
	"                          move an index of the control page\n"
	"  linger=MS               say that all is let go, keep it, and end only after MS\n"
	"and how: every=MS (100) sweep=REFERENCES (32768) after=COMPLETIONS (64) delay=MS (0)\n"
	"  late=MS (1000) stale-pages=N (1024) mark=N. README.md says more.\n";

static _Noreturn void bad(const char *word, const char *why)
{
	fprintf(stderr, "vgrantd-hostile: VGRANT_HOSTILE: '%.64s': %s\n%s", word, why, usage);
	_exit(EXIT_USAGE);
}

static void take_pattern(const char *text)
{
	FILE *file;

	hostile.dump = true;
	if (*text != '@') {
		hostile.pattern_len = strnlen(text, HOSTILE_PATTERN_MAX);
		memcpy(hostile.pattern, text, hostile.pattern_len);
	} else {
		file = fopen(text + 1, "re");
		if (!file)
			bad(text, strerror(errno));
		hostile.pattern_len = fread(hostile.pattern, 1, HOSTILE_PATTERN_MAX, file);
		fclose(file);
	}
	if (hostile.pattern_len < 4)
		bad(text, "a pattern has at least 4 bytes, or it is found everywhere");
}

static uint32_t number(const char *word, const char *text)
{
	size_t len = strlen(text);

	if (!len || len > 9 || strspn(text, "0123456789") != len)
		bad(word, "not a number");
	return (uint32_t)strtoul(text, NULL, 10);
}

/* Index of @text in @names, which ends with NULL; "" is the first. */
static unsigned int choice(const char *word, const char *text, const char *const *names)
{
	for (unsigned int i = 0; names[i]; i++)
		if (!*text || !strcmp(text, names[i]))
			return i;
	bad(word, "no such choice");
}

static bool take_choice(const char *word, const char *name, const char *text)
{
	static const char *const busy[] = {"all", "region", "reset", NULL};
	static const char *const mute[] = {"running", "probe", "io", NULL};
	static const enum hostile_mute mutes[] = {MUTE_RUNNING, MUTE_PROBE, MUTE_IO};
	static const char *const wild[] = {"all", "id", "len", NULL};
	static const char *const prod[] = {"back", "forward", "cons-back", "cons-forward", NULL};
	static const enum hostile_prod prods[] = {PROD_BACK, PROD_FORWARD, PROD_CONS_BACK,
						  PROD_CONS_FORWARD};
	unsigned int i;

	if (!strcmp(name, "busy")) {
		i = choice(word, text, busy);
		hostile.busy_region = i != 2;
		hostile.busy_reset = i != 1;
	} else if (!strcmp(name, "mute")) {
		hostile.mute = mutes[choice(word, text, mute)];
	} else if (!strcmp(name, "wild-used")) {
		i = choice(word, text, wild);
		hostile.wild_id = i != 2;
		hostile.wild_len = i != 1;
	} else if (!strcmp(name, "prod-back")) {
		hostile.prod = prods[choice(word, text, prod)];
	} else {
		return false;
	}
	return true;
}

static bool take_number(const char *word, const char *name, const char *text)
{
	const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = {
		{"every", &hostile.every_ms},
		{"sweep", &hostile.sweep},
		{"after", &hostile.after},
		{"delay", &hostile.delay_ms},
		{"linger", &hostile.linger_ms},
		{"late", &hostile.late_ms},
		{"stale-pages", &hostile.stale_pages},
		{"mark", &hostile.mark},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(name, numbers[i].name))
			continue;
		*numbers[i].value = number(word, text);
		return true;
	}
	return false;
}

static bool take_flag(const char *name)
{
	const struct {
		const char *name;
		bool *value;
	} flags[] = {
		{"stale", &hostile.stale},
		{"stale-copy", &hostile.stale_copy},
		{"stale-pool", &hostile.stale_pool},
		{"keep-region", &hostile.keep_region},
		{"next", &hostile.next},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(name, flags[i].name))
			continue;
		*flags[i].value = true;
		return true;
	}
	return false;
}

static void take(const char *word)
{
	const char *equals = strchr(word, '=');
	const char *text = equals ? equals + 1 : "";
	char name[24];

	snprintf(name, sizeof(name), "%.*s", (int)(equals ? equals - word : 20), word);
	if (!strcmp(name, "dump"))
		take_pattern(text);
	else if (!(take_choice(word, name, text) || take_number(word, name, text) ||
		   (!equals && take_flag(name))))
		bad(word, "no such word");
}

/* Before main(): what is wrong is said at once, by supervisor and worker alike. */
__attribute__((constructor)) static void options_read(void)
{
	const char *text = getenv("VGRANT_HOSTILE");
	char copy[1024], *save = NULL;

	if (!text || !*text || strlen(text) >= sizeof(copy))
		bad(text ? text : "", "it must say something");
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
		take(word);
	if (!hostile.every_ms)
		bad("every=0", "not a number from 1");
	if (hostile.mark)
		snprintf(hostile_mark, sizeof(hostile_mark), HOSTILE_MARK "-%" PRIu32,
			 hostile.mark);
}
