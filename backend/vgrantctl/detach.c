// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* The guest may flush for 5 s, the directory goes a second after; and a disk may be slow. */
#define TIMEOUT_S 20
/* With --force nobody is relied on. */
#define TIMEOUT_FORCE_S 8

#define TRIES 32

struct closing {
	const struct device *device;
	uint32_t state; /* the backend's, or 0: its directory has gone */
};

static int read_state(struct ctl *ctl, const struct device *device, uint32_t *state)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/state", device->dir);

	return rc ? rc : vg_store_read_u32(ctl->store, path, UINT32_MAX, state);
}

static int ask(struct ctl *ctl, const struct device *device)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t state = 0;
	int rc;

	/* Only who may remove the guest's directory afterwards can detach: found out first. */
	rc = vg_store_set_owner(ctl->store, device->front, device->domid, device->backend);
	if (rc && rc != -ENOENT)
		return rc;
	rc = read_state(ctl, device, &state);
	if (rc == -ENOENT)
		return 0;
	rc = vg_store_path(path, "%s/online", device->dir);
	if (!rc)
		rc = vg_store_write(ctl->store, path, "0");
	/* As libxl has it: what is closed stays so. */
	if (rc || state == VG_XENBUS_CLOSED)
		return rc;
	rc = vg_store_path(path, "%s/state", device->dir);
	return rc ? rc : vg_store_write(ctl->store, path, "5");
}

static int remove_dir(struct ctl *ctl, const char *dir)
{
	int rc = vg_store_remove(ctl->store, dir);

	return rc == -ENOENT ? 0 : rc;
}

/* The directory of one guest's devices, when none is left in it. */
static int remove_parent(struct ctl *ctl, const struct device *device)
{
	char path[VG_STORE_PATH_MAX];
	char **names = NULL;
	int rc = vg_store_path(path, "/local/domain/%u/backend/" VG_KIND_DISK "/%u",
			       device->backend, device->domid);

	if (!rc)
		rc = vg_store_list(ctl->store, path, &names);
	if (rc >= 0)
		free(names);
	if (rc)
		return rc > 0 || rc == -ENOENT ? 0 : rc;
	return remove_dir(ctl, path);
}

static int clean(struct ctl *ctl, const struct device *device)
{
	int rc = remove_dir(ctl, device->front);

	if (!rc)
		rc = remove_dir(ctl, device->dir);
	return rc ? rc : remove_parent(ctl, device);
}

static int transact(struct ctl *ctl, const struct device *device,
		    int (*body)(struct ctl *ctl, const struct device *device))
{
	int rc = -EAGAIN;

	for (unsigned int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		int error;

		rc = vg_store_begin(ctl->store);
		if (rc)
			break;
		error = body(ctl, device);
		rc = vg_store_end(ctl->store, !error);
		if (error)
			rc = error;
	}
	return rc;
}

static bool gone(struct ctl *ctl, void *opaque)
{
	struct closing *closing = opaque;

	if (read_state(ctl, closing->device, &closing->state))
		closing->state = 0;
	return !closing->state;
}

int take_back(struct ctl *ctl, const struct device *device, unsigned int timeout_s, bool force)
{
	struct closing closing = {.device = device};
	int rc = transact(ctl, device, ask);

	if (rc)
		return rc;
	rc = wait_for(ctl, device->dir, timeout_s, gone, &closing);
	if (rc && (rc != -ETIMEDOUT || !force))
		return rc;
	return transact(ctl, device, clean);
}

static int detach_failed(struct ctl *ctl, const struct device *device, unsigned int timeout_s,
			 int error)
{
	char guest[SHOWN_MAX], backend[SHOWN_MAX], vdev[16];
	struct device_info info;

	domain_name(ctl, device->domid, guest);
	domain_name(ctl, device->backend, backend);
	vdev_name(device->devid, vdev);
	switch (error) {
	case -ETIMEDOUT:
		device_read_info(ctl, device, &info);
		if (!info.served)
			return failure(
				"no vgrantd answered in domain %s within %u s: is it running "
				"there? --force removes %s of domain %s all the same",
				backend, timeout_s, vdev, guest);
		return failure("%s of domain %s is not let go of within %u s (state: %s): does "
			       "vgrantd still run in domain %s, or does its disk hang? --force "
			       "removes the device all the same",
			       vdev, guest, timeout_s, state_name(info.state), backend);
	case -EACCES:
	case -EPERM:
		return failure("no permission to detach %s of domain %s: run this in the "
			       "toolstack's domain (dom0), as root",
			       vdev, guest);
	default:
		return failure("cannot detach %s of domain %s: %s", vdev, guest, strerror(-error));
	}
}

int cmd_detach(struct ctl *ctl)
{
	unsigned int timeout_s = ctl->args.timeout_s ? ctl->args.timeout_s
				 : ctl->args.force   ? TIMEOUT_FORCE_S
						     : TIMEOUT_S;
	char name[SHOWN_MAX], vdev[16];
	struct device device;
	bool leftover = false;
	int rc = find_device(ctl, &device, &leftover);

	if (rc)
		return rc;
	if (leftover)
		rc = remove_dir(ctl, device.front);
	else
		rc = take_back(ctl, &device, timeout_s, ctl->args.force);
	if (rc)
		return detach_failed(ctl, &device, timeout_s, rc);
	vdev_name(device.devid, vdev);
	if (ctl->args.json)
		return print_json(json_pack("{s:i, s:s, s:I}", "domain", (int)device.domid, "vdev",
					    vdev, "devid", (json_int_t)device.devid));
	printf("%s %s: detached\n", domain_name(ctl, device.domid, name), vdev);
	return 0;
}
