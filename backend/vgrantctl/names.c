// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* Block device numbers as libxl gives them: major 202 for the first sixteen disks, then the
 * extended ones. */
#define XVD_MAJOR      202U
#define XVD_EXTENDED   (UINT32_C(1) << 28)
#define XVD_DISKS_MAX  (UINT32_C(1) << 20)
#define PARTITIONS_MAX 255U

bool parse_number(const char *text, uint32_t max, uint32_t *value)
{
	uint64_t sum = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		sum = sum * 10 + (uint64_t)(*text - '0');
		if (sum > max)
			return false;
	}
	*value = (uint32_t)sum;
	return true;
}

static int compare_domids(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

int list_domains(struct ctl *ctl, uint16_t **domids)
{
	char **names = NULL;
	int count = vg_store_list(ctl->store, "/local/domain", &names);
	int n = 0;

	if (count < 0 && count != -EACCES)
		return count;
	*domids = calloc(count > 0 ? (size_t)count : 1, sizeof(**domids));
	if (!*domids) {
		if (count >= 0)
			free(names);
		return -ENOMEM;
	}
	if (count < 0) { /* a driver domain may not ask: it knows itself */
		(*domids)[0] = ctl->self;
		return 1;
	}
	for (int i = 0; i < count; i++) {
		uint32_t domid;

		if (parse_number(names[i], DOMID_MAX, &domid))
			(*domids)[n++] = (uint16_t)domid;
	}
	free(names);
	qsort(*domids, (size_t)n, sizeof(**domids), compare_domids);
	return n;
}

static int read_name(struct ctl *ctl, uint16_t domid, char *name, size_t size)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "/local/domain/%u/name", domid);

	return rc ? rc : vg_store_read(ctl->store, path, name, size);
}

const char *domain_name(struct ctl *ctl, uint16_t domid, char *buf)
{
	char name[VG_STORE_VALUE_MAX];

	if (read_name(ctl, domid, name, sizeof(name)) || !name[0])
		snprintf(name, sizeof(name), "%u", domid);
	return shown(buf, name);
}

static int find_by_number(struct ctl *ctl, uint32_t number, uint16_t *domid)
{
	char path[VG_STORE_PATH_MAX];
	char value[8];
	int rc = vg_store_path(path, "/local/domain/%" PRIu32, number);

	*domid = (uint16_t)number;
	if (!rc)
		rc = vg_store_read(ctl->store, path, value, sizeof(value));
	/* Unreadable is not absent: a driver domain sees no more than that. */
	if (rc == -ENOENT)
		return failure("there is no domain %" PRIu32 " ('xl list' shows those there are)",
			       number);
	return 0;
}

int find_domain(struct ctl *ctl, const char *text, uint16_t *domid)
{
	char name[VG_STORE_VALUE_MAX], buf[SHOWN_MAX];
	uint16_t *domids = NULL;
	unsigned int matches = 0, readable = 0;
	uint32_t number;
	int count;

	if (parse_number(text, DOMID_MAX, &number))
		return find_by_number(ctl, number, domid);
	count = list_domains(ctl, &domids);
	if (count < 0)
		return failure("cannot list the domains: %s", strerror(-count));
	for (int i = 0; i < count; i++) {
		if (read_name(ctl, domids[i], name, sizeof(name)))
			continue;
		readable++;
		if (strcmp(name, text) != 0)
			continue;
		*domid = domids[i];
		matches++;
	}
	free(domids);
	if (matches == 1)
		return 0;
	if (matches)
		return failure("%u domains are called '%s': give the number of one of them",
			       matches, shown(buf, text));
	if (readable < 2 && ctl->self)
		return failure("there is no domain '%s' that this one may see: give its number",
			       shown(buf, text));
	return failure("there is no domain '%s' ('xl list' shows those there are)",
		       shown(buf, text));
}

uint32_t vdev_of_disk(unsigned int index)
{
	return index < 16 ? XVD_MAJOR << 8 | index << 4 : XVD_EXTENDED | index << 8;
}

int parse_vdev(const char *text, uint32_t *devid)
{
	uint32_t disk = 0, partition = 0;
	const char *p = text;

	if (parse_number(text, INT32_MAX, devid))
		return 0;
	if (strncmp(p, "xvd", 3) != 0 || p[3] < 'a' || p[3] > 'z')
		return -EINVAL;
	/* a … z, aa … zz, …: there is no digit zero */
	for (p += 3; *p >= 'a' && *p <= 'z'; p++) {
		disk = disk * 26 + (uint32_t)(*p - 'a') + 1;
		if (disk > XVD_DISKS_MAX)
			return -EINVAL;
	}
	disk--;
	if (*p && (!parse_number(p, PARTITIONS_MAX, &partition) || !partition))
		return -EINVAL;
	if (disk < 16 && partition < 16)
		*devid = vdev_of_disk(disk) | partition;
	else
		*devid = XVD_EXTENDED | disk << 8 | partition;
	return 0;
}

const char *vdev_name(uint32_t devid, char *buf)
{
	uint32_t disk, partition, length = 0;
	char letters[8], digits[8] = "";

	if (devid >> 8 == XVD_MAJOR) {
		disk = devid >> 4 & 0xf;
		partition = devid & 0xf;
	} else if (devid >> 28 == 1 && (devid & ~XVD_EXTENDED) >> 8 < XVD_DISKS_MAX) {
		disk = (devid & ~XVD_EXTENDED) >> 8;
		partition = devid & 0xff;
	} else {
		snprintf(buf, 16, "%" PRIu32, devid);
		return buf;
	}
	for (disk++; disk; disk = (disk - 1) / 26)
		letters[length++] = (char)('a' + (disk - 1) % 26);
	if (partition)
		snprintf(digits, sizeof(digits), "%" PRIu32, partition & 0xff);
	snprintf(buf, 16, "xvd");
	for (size_t at = 3; length; at++) {
		buf[at] = letters[--length];
		buf[at + 1] = '\0';
	}
	memcpy(buf + strlen(buf), digits, strlen(digits) + 1);
	return buf;
}
