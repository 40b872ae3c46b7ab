// SPDX-License-Identifier: MIT
#include "fault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int value;
} errnos[] = {
	{"EPERM", EPERM},   {"ENOENT", ENOENT},         {"EINTR", EINTR},
	{"EIO", EIO},       {"ENXIO", ENXIO},           {"E2BIG", E2BIG},
	{"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM},         {"EACCES", EACCES},
	{"EFAULT", EFAULT}, {"EBUSY", EBUSY},           {"EEXIST", EEXIST},
	{"ENODEV", ENODEV}, {"EINVAL", EINVAL},         {"EMFILE", EMFILE},
	{"ENOSPC", ENOSPC}, {"EROFS", EROFS},           {"ENOSYS", ENOSYS},
	{"EISDIR", EISDIR}, {"ENOTCONN", ENOTCONN},     {"ENOTEMPTY", ENOTEMPTY},
	{"ESRCH", ESRCH},   {"EOPNOTSUPP", EOPNOTSUPP},
};

static bool parse_number(const char *s, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(s, &end, 10);
	return !errno && end != s && !*end && *out >= min && *out <= max;
}

static bool parse_errno(const char *s, int *out)
{
	long n;

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		if (!strcmp(s, errnos[i].name)) {
			*out = errnos[i].value;
			return true;
		}
	}
	if (!parse_number(s, 1, 4095, &n))
		return false;
	*out = (int)n;
	return true;
}

static bool parse_field(struct sim_fault_rule *r, char *field)
{
	char *value = strchr(field, '=');
	long n;

	if (!value) {
		if (!strcmp(field, "drop"))
			r->flags |= SIM_FAULT_DROP;
		else if (!strcmp(field, "short"))
			r->flags |= SIM_FAULT_SHORT;
		else if (!strcmp(field, "eagain"))
			r->flags |= SIM_FAULT_EAGAIN;
		else
			return false;
		return true;
	}
	*value++ = '\0';
	if (!strcmp(field, "errno"))
		return parse_errno(value, &r->err);
	if (!strcmp(field, "status")) {
		if (!parse_number(value, -32768, -1, &n))
			return false;
		r->status = (int)n;
		r->flags |= SIM_FAULT_STATUS;
		return true;
	}
	if (!parse_number(value, 0, INT_MAX, &n))
		return false;
	if (!strcmp(field, "after")) {
		r->after = (unsigned int)n;
	} else if (!strcmp(field, "count")) {
		r->count = (unsigned int)n;
		r->counted = true;
	} else if (!strcmp(field, "prob") && n <= 100) {
		r->percent = (unsigned int)n;
	} else if (!strcmp(field, "late") && n <= 600000) {
		r->late_ms = (unsigned int)n;
	} else if (!strcmp(field, "defer") && n <= 60000) {
		r->defer_ms = (unsigned int)n;
	} else {
		return false;
	}
	return true;
}

static bool parse_rule(struct sim_fault_rule *r, char *text)
{
	char *save = NULL;
	char *field = strtok_r(text, ":", &save);

	memset(r, 0, sizeof(*r));
	r->percent = 100;
	if (!field || strlen(field) >= sizeof(r->site))
		return false;
	memcpy(r->site, field, strlen(field) + 1);
	while ((field = strtok_r(NULL, ":", &save))) {
		if (!parse_field(r, field))
			return false;
	}
	return r->err || r->flags || r->late_ms || r->defer_ms;
}

int sim_fault_parse(struct sim_fault_set *set, const char *text, char *why, size_t why_len)
{
	char *copy = strdup(text);
	char *save = NULL;
	int ret = 0;

	memset(set, 0, sizeof(*set));
	set->seed = 1;
	if (!copy)
		return -ENOMEM;
	for (char *t = strtok_r(copy, ",; \n", &save); t; t = strtok_r(NULL, ",; \n", &save)) {
		char shown[64];

		snprintf(shown, sizeof(shown), "%s", t);
		if (set->n == SIM_FAULT_RULES || !parse_rule(&set->rule[set->n], t)) {
			snprintf(why, why_len, "cannot use the fault rule \"%s\"", shown);
			set->n = 0;
			ret = -EINVAL;
			break;
		}
		set->n++;
	}
	free(copy);
	return ret;
}

const struct sim_fault_rule *sim_fault_hit(struct sim_fault_set *set, const char *site,
					   bool segment)
{
	for (unsigned int i = 0; i < set->n; i++) {
		struct sim_fault_rule *r = &set->rule[i];

		if (segment != !!(r->flags & SIM_FAULT_STATUS) || strcmp(r->site, site) != 0)
			continue;
		if (r->after) {
			r->after--;
			continue;
		}
		if (r->counted && !r->count)
			continue;
		set->seed = set->seed * 1103515245u + 12345u;
		if ((set->seed >> 16) % 100 >= r->percent)
			continue;
		if (r->counted)
			r->count--;
		return r;
	}
	return NULL;
}
