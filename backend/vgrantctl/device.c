// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

void device_init(struct device *device, uint16_t domid, uint16_t backend, uint32_t devid)
{
	memset(device, 0, sizeof(*device));
	device->domid = domid;
	device->backend = backend;
	device->devid = devid;
	snprintf(device->dir, sizeof(device->dir),
		 "/local/domain/%u/backend/" VG_KIND_DISK "/%u/%" PRIu32, backend, domid, devid);
	snprintf(device->front, sizeof(device->front),
		 "/local/domain/%u/device/" VG_KIND_DISK "/%" PRIu32, domid, devid);
}

int device_read(struct ctl *ctl, const char *dir, const char *key, char *value, size_t size)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/%s", dir, key);

	if (!rc)
		rc = vg_store_read(ctl->store, path, value, size);
	if (rc)
		value[0] = '\0';
	return rc;
}

static uint32_t read_number(struct ctl *ctl, const char *dir, const char *key, uint32_t max,
			    uint32_t fallback)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t value;

	if (vg_store_path(path, "%s/%s", dir, key) ||
	    vg_store_read_u32(ctl->store, path, max, &value))
		return fallback;
	return value;
}

void device_read_info(struct ctl *ctl, const struct device *device, struct device_info *info)
{
	char version[16];

	memset(info, 0, sizeof(*info));
	info->state = read_number(ctl, device->dir, "state", VG_XENBUS_CLOSED, 0);
	info->front_state = read_number(ctl, device->front, "state", VG_XENBUS_CLOSED, 0);
	info->online = read_number(ctl, device->dir, "online", 1, 0);
	info->queues = read_number(ctl, device->dir, KEY_QUEUES, 16, 1);
	info->served = !device_read(ctl, device->dir, VG_KEY_VERSION, version, sizeof(version)) ||
		       !device_read(ctl, device->dir, KEY_IOREQ, version, sizeof(version));
	/* A driver that knows nothing of xenbus leaves the state at 2. */
	info->connected = info->state == VG_XENBUS_CONNECTED ||
			  (info->state == VG_XENBUS_INIT_WAIT &&
			   read_number(ctl, device->dir, KEY_DRIVER, 1, 0));
	device_read(ctl, device->dir, "mode", info->mode, sizeof(info->mode));
	info->read_only = strcmp(info->mode, "w") != 0;
	if (device_read(ctl, device->dir, KEY_ENGINE, info->engine, sizeof(info->engine)))
		snprintf(info->engine, sizeof(info->engine), "file");
	device_read(ctl, device->dir, "params", info->image, sizeof(info->image));
	device_read(ctl, device->dir, KEY_ERROR, info->error, sizeof(info->error));
}

const char *state_name(uint32_t state)
{
	static const char *const names[] = {"unknown",   "initialising", "init-wait", "initialised",
					    "connected", "closing",      "closed"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

const char *state_words(const struct device_info *info)
{
	switch (info->state) {
	case VG_XENBUS_INITIALISING:
		return "waits for vgrantd";
	case VG_XENBUS_INIT_WAIT:
	case VG_XENBUS_INITIALISED:
		return info->connected ? "connected" : "waits for the guest";
	case VG_XENBUS_CONNECTED:
		return "connected";
	case VG_XENBUS_CLOSING:
		return "closing";
	case VG_XENBUS_CLOSED:
		return info->error[0] ? "failed" : "closed";
	default:
		return "unknown";
	}
}

/* Decimal directory names in ascending order: *numbers is the caller's. None where nothing can be
 * read. Returns the count or -ENOMEM. */
static int list_numbers(struct ctl *ctl, const char *path, uint32_t max, uint32_t **numbers)
{
	char **names = NULL;
	int count = vg_store_list(ctl->store, path, &names);
	int n = 0;

	*numbers = NULL;
	if (count < 0)
		return 0;
	*numbers = calloc((size_t)count + 1, sizeof(**numbers));
	for (int i = 0; *numbers && i < count; i++) {
		uint32_t value;

		if (parse_number(names[i], max, &value))
			(*numbers)[n++] = value;
	}
	free(names);
	return *numbers ? n : -ENOMEM;
}

struct found {
	struct device *devices;
	size_t count, size;
};

static int add(struct found *found, uint16_t domid, uint16_t backend, uint32_t devid)
{
	if (found->count == found->size) {
		size_t size = found->size ? 2 * found->size : 16;
		struct device *devices = realloc(found->devices, size * sizeof(*devices));

		if (!devices)
			return -ENOMEM;
		found->devices = devices;
		found->size = size;
	}
	device_init(&found->devices[found->count++], domid, backend, devid);
	return 0;
}

static int add_guest(struct ctl *ctl, struct found *found, uint16_t domid, uint16_t backend,
		     int64_t devid)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t *devids = NULL;
	int rc =
		vg_store_path(path, "/local/domain/%u/backend/" VG_KIND_DISK "/%u", backend, domid);
	int count = rc ? rc : list_numbers(ctl, path, UINT32_MAX, &devids);

	rc = count < 0 ? count : 0;
	for (int i = 0; devids && i < count && !rc; i++) {
		if (devid < 0 || devid == (int64_t)devids[i])
			rc = add(found, domid, backend, devids[i]);
	}
	free(devids);
	return rc;
}

static int add_backend(struct ctl *ctl, struct found *found, uint16_t backend, int domid,
		       int64_t devid)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t *domids = NULL;
	int rc = vg_store_path(path, "/local/domain/%u/backend/" VG_KIND_DISK, backend);
	int count = rc ? rc : list_numbers(ctl, path, DOMID_MAX, &domids);

	rc = count < 0 ? count : 0;
	for (int i = 0; domids && i < count && !rc; i++) {
		if (domid < 0 || domid == (int)domids[i])
			rc = add_guest(ctl, found, (uint16_t)domids[i], backend, devid);
	}
	free(domids);
	return rc;
}

static int compare_devices(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	if (x->domid != y->domid)
		return x->domid < y->domid ? -1 : 1;
	if (x->devid != y->devid)
		return x->devid < y->devid ? -1 : 1;
	return (int)x->backend - (int)y->backend;
}

int find_devices(struct ctl *ctl, int domid, int64_t devid, struct device **devices)
{
	struct found found = {0};
	uint16_t *backends = NULL;
	int count = list_domains(ctl, &backends);
	int rc = count < 0 ? count : 0;

	for (int i = 0; i < count && !rc; i++)
		rc = add_backend(ctl, &found, backends[i], domid, devid);
	free(backends);
	if (rc) {
		free(found.devices);
		return rc;
	}
	if (found.count)
		qsort(found.devices, found.count, sizeof(*found.devices), compare_devices);
	*devices = found.devices;
	return (int)found.count;
}

static bool is_known(const struct device *devices, size_t count, uint16_t domid, uint32_t devid)
{
	for (size_t i = 0; i < count; i++)
		if (devices[i].domid == domid && devices[i].devid == devid)
			return true;
	return false;
}

static int add_leftovers(struct ctl *ctl, struct found *found, uint16_t domid)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t *devids = NULL;
	int rc = vg_store_path(path, "/local/domain/%u/device/" VG_KIND_DISK, domid);
	int count = rc ? rc : list_numbers(ctl, path, UINT32_MAX, &devids);

	rc = count < 0 ? count : 0;
	for (int i = 0; devids && i < count && !rc; i++) {
		struct device device;
		char value[8];
		uint32_t backend;

		if (is_known(found->devices, found->count, domid, devids[i]))
			continue;
		device_init(&device, domid, 0, devids[i]);
		/* The guest can write there: it is shown, and nothing more. */
		backend = read_number(ctl, device.front, "backend-id", DOMID_MAX, 0);
		device_init(&device, domid, (uint16_t)backend, devids[i]);
		/* Who may not read it does not know whether it is there. */
		if (vg_store_read(ctl->store, device.dir, value, sizeof(value)) != -ENOENT)
			continue;
		rc = add(found, domid, (uint16_t)backend, devids[i]);
		if (!rc)
			found->devices[found->count - 1].leftover = true;
	}
	free(devids);
	return rc;
}

int find_leftovers(struct ctl *ctl, struct device **devices, int count)
{
	struct found found = {*devices, (size_t)count, (size_t)count};
	uint16_t *domids = NULL;
	int n = list_domains(ctl, &domids);
	int rc = n < 0 ? n : 0;

	for (int i = 0; i < n && !rc; i++)
		rc = add_leftovers(ctl, &found, domids[i]);
	free(domids);
	*devices = found.devices;
	if (rc)
		return rc;
	if (found.count)
		qsort(found.devices, found.count, sizeof(*found.devices), compare_devices);
	return (int)found.count;
}

static bool has_front(struct ctl *ctl, const struct device *device)
{
	char value[8];
	int rc = vg_store_read(ctl->store, device->front, value, sizeof(value));

	return !rc || rc == -EINVAL;
}

int find_device(struct ctl *ctl, struct device *device, bool *leftover)
{
	struct device *devices = NULL;
	char name[SHOWN_MAX], buf[SHOWN_MAX], vdev[16];
	uint16_t domid, backend = 0;
	uint32_t devid;
	int count, n = 0, rc;

	rc = find_domain(ctl, ctl->args.domain, &domid);
	if (!rc && ctl->args.backend)
		rc = find_domain(ctl, ctl->args.backend, &backend);
	if (rc)
		return rc;
	if (parse_vdev(ctl->args.vdev, &devid))
		return failure("'%s' is not a virtual device: write xvda, xvdb … or its number",
			       shown(buf, ctl->args.vdev));
	count = find_devices(ctl, domid, devid, &devices);
	if (count < 0)
		return failure("cannot read xenstore: %s", strerror(-count));
	for (int i = 0; devices && i < count; i++) {
		if (ctl->args.backend && devices[i].backend != backend)
			continue;
		*device = devices[i];
		n++;
	}
	free(devices);
	domain_name(ctl, domid, name);
	if (!n && leftover) {
		device_init(device, domid, backend, devid);
		*leftover = has_front(ctl, device);
		if (*leftover)
			return 0;
	}
	if (!n)
		return failure(
			"domain %s has no device %s ('vgrantctl list' shows those there are)", name,
			vdev_name(devid, vdev));
	if (n > 1)
		return failure("%d driver domains have a device %s of domain %s: choose one with "
			       "--backend",
			       n, vdev_name(devid, vdev), name);
	return 0;
}
