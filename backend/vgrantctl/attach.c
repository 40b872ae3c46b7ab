// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl.h"

#define TIMEOUT_S 10
/* What a refused or unanswered device is given to go again. */
#define TAKE_BACK_S 3

#define TRIES     32
#define DISKS_MAX 256

struct attach {
	struct device device;
	bool choose; /* the first free whole disk */
	struct device_info info;
};

/* What can be checked from here of an image that is in this very domain. */
static int check_image(struct ctl *ctl)
{
	const char *path = ctl->args.image;
	char buf[SHOWN_MAX];
	struct stat st;

	if (stat(path, &st))
		return failure("image %s: %s: correct the path, or create it", shown(buf, path),
			       strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return failure("image %s is neither a regular file nor a block device",
			       shown(buf, path));
	if (S_ISREG(st.st_mode) && !st.st_size)
		return failure("image %s is empty: give it a size first (truncate -s 10G …)",
			       shown(buf, path));
	return 0;
}

static int write_key(struct ctl *ctl, const char *dir, const char *key, const char *value)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/%s", dir, key);

	return rc ? rc : vg_store_write(ctl->store, path, value);
}

static int write_number(struct ctl *ctl, const char *dir, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return write_key(ctl, dir, key, text);
}

/* 0: nothing is there; -EEXIST. */
static int check_free(struct ctl *ctl, const struct device *device)
{
	char value[8];
	int rc = vg_store_read(ctl->store, device->front, value, sizeof(value));

	if (rc == -ENOENT)
		rc = vg_store_read(ctl->store, device->dir, value, sizeof(value));
	if (rc == -ENOENT)
		return 0;
	return rc && rc != -EINVAL ? rc : -EEXIST;
}

static int choose(struct ctl *ctl, struct attach *attach)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		int rc;

		device_init(&attach->device, attach->device.domid, attach->device.backend,
			    vdev_of_disk(i));
		rc = check_free(ctl, &attach->device);
		if (rc != -EEXIST)
			return rc;
	}
	return -EEXIST;
}

/* As libxl writes it: the directory, its owner and reader, then the keys, which inherit them. */
static int make_dir(struct ctl *ctl, const char *dir, uint16_t owner, uint16_t reader)
{
	int rc = vg_store_write(ctl->store, dir, "");

	return rc ? rc : vg_store_set_owner(ctl->store, dir, owner, reader);
}

static int write_front(struct ctl *ctl, const struct device *device)
{
	const char *dir = device->front;
	int rc = make_dir(ctl, dir, device->domid, device->backend);

	if (!rc)
		rc = write_key(ctl, dir, "backend", device->dir);
	if (!rc)
		rc = write_number(ctl, dir, "backend-id", device->backend);
	if (!rc)
		rc = write_number(ctl, dir, "virtual-device", device->devid);
	if (!rc)
		rc = write_key(ctl, dir, "device-type", "disk");
	if (!rc)
		rc = write_key(ctl, dir, "trusted", ctl->args.untrusted ? "0" : "1");
	if (!rc)
		rc = write_number(ctl, dir, "state", VG_XENBUS_INITIALISING);
	return rc;
}

static int write_options(struct ctl *ctl, const char *dir)
{
	const struct arguments *args = &ctl->args;
	int rc = 0;

	if (args->image)
		rc = write_key(ctl, dir, "params", args->image);
	if (!rc && args->engine)
		rc = write_key(ctl, dir, KEY_ENGINE, args->engine);
	if (!rc && args->size)
		rc = write_number(ctl, dir, KEY_SIZE, args->size);
	if (!rc && args->queues)
		rc = write_number(ctl, dir, KEY_QUEUES, args->queues);
	/* An interrupt of the guest's platform: no other bus has one. */
	if (!rc && args->irq)
		rc = write_key(ctl, dir, KEY_BUS, "mmio");
	if (!rc && args->irq)
		rc = write_number(ctl, dir, "irq", args->irq);
	return rc;
}

static int write_back(struct ctl *ctl, const struct device *device)
{
	char vdev[16];
	const struct {
		const char *key, *value;
	} fixed[] = {
		{"frontend", device->front},
		{"online", "1"},
		{"removable", "0"},
		{"bootable", "0"},
		{"dev", vdev_name(device->devid, vdev)},
		{"type", "standalone"},
		{"mode", ctl->args.read_only ? "r" : "w"},
		{"device-type", "disk"},
		{"discard-enable", "1"},
		{"specification", "virtio"},
	};
	const char *dir = device->dir;
	int rc = make_dir(ctl, dir, device->backend, device->domid);

	if (!rc)
		rc = write_number(ctl, dir, "frontend-id", device->domid);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && !rc; i++)
		rc = write_key(ctl, dir, fixed[i].key, fixed[i].value);
	if (!rc)
		rc = write_options(ctl, dir);
	if (!rc)
		rc = write_number(ctl, dir, "state", VG_XENBUS_INITIALISING);
	return rc;
}

static int write_device(struct ctl *ctl, struct attach *attach)
{
	int rc = -EAGAIN;

	for (unsigned int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		int error;

		rc = vg_store_begin(ctl->store);
		if (rc)
			break;
		error = attach->choose ? choose(ctl, attach) : check_free(ctl, &attach->device);
		if (!error)
			error = write_front(ctl, &attach->device);
		if (!error)
			error = write_back(ctl, &attach->device);
		rc = vg_store_end(ctl->store, !error);
		if (error)
			rc = error;
	}
	return rc;
}

static int write_failed(struct ctl *ctl, const struct attach *attach, int error)
{
	char name[SHOWN_MAX], vdev[16];

	domain_name(ctl, attach->device.domid, name);
	switch (error) {
	case -EEXIST:
		if (attach->choose)
			return failure("domain %s has no free virtual device left: detach one",
				       name);
		return failure("domain %s has a device %s already: choose another with --vdev, or "
			       "detach it first",
			       name, vdev_name(attach->device.devid, vdev));
	case -EACCES:
	case -EPERM:
		return failure("no permission to write to xenstore for domain %s: run this in the "
			       "toolstack's domain (dom0), as root",
			       name);
	case -ENOSPC:
		return failure("xenstored has no room for another device: a domain's quota is used "
			       "up");
	case -EAGAIN:
		return failure("xenstore is changed all the time by somebody else: try again");
	default:
		return failure("cannot write to xenstore: %s", strerror(-error));
	}
}

static bool answered(struct ctl *ctl, void *opaque)
{
	struct attach *attach = opaque;

	device_read_info(ctl, &attach->device, &attach->info);
	return attach->info.state != VG_XENBUS_INITIALISING;
}

static int wait_for_backend(struct ctl *ctl, struct attach *attach)
{
	unsigned int timeout_s = ctl->args.timeout_s ? ctl->args.timeout_s : TIMEOUT_S;
	char name[SHOWN_MAX], buf[SHOWN_MAX];
	uint32_t state;
	int rc;

	rc = wait_for(ctl, attach->device.dir, timeout_s, answered, attach);
	domain_name(ctl, attach->device.backend, name);
	if (rc && rc != -ETIMEDOUT)
		return failure("cannot wait for the backend: %s", strerror(-rc));
	state = attach->info.state;
	if (state >= VG_XENBUS_INIT_WAIT && state <= VG_XENBUS_CONNECTED)
		return 0;
	/* Nothing is left behind; that this may take its time is not worth another message. */
	take_back(ctl, &attach->device, rc ? 0 : TAKE_BACK_S, true);
	if (rc)
		return failure("no vgrantd answered in domain %s within %u s: is it running there?",
			       name, timeout_s);
	if (!state)
		return failure("the device was removed again by somebody else");
	if (attach->info.error[0])
		return failure("vgrantd in domain %s refused: %s", name,
			       shown(buf, attach->info.error));
	return failure("the backend in domain %s refused the device and does not say why: see its "
		       "log",
		       name);
}

static int report(struct ctl *ctl, const struct attach *attach)
{
	const struct device *device = &attach->device;
	const char *state = ctl->args.no_wait ? "not waited for" : state_words(&attach->info);
	char guest[SHOWN_MAX], backend[SHOWN_MAX], vdev[16];

	vdev_name(device->devid, vdev);
	if (ctl->args.json)
		return print_json(json_pack("{s:i, s:i, s:s, s:I, s:s}", "domain",
					    (int)device->domid, "backend", (int)device->backend,
					    "vdev", vdev, "devid", (json_int_t)device->devid,
					    "state", state));
	printf("%s %s: attached from domain %s, %s\n", domain_name(ctl, device->domid, guest), vdev,
	       domain_name(ctl, device->backend, backend), state);
	return 0;
}

int cmd_attach(struct ctl *ctl)
{
	const struct arguments *args = &ctl->args;
	struct attach attach = {.choose = !args->vdev};
	uint16_t domid, backend = ctl->self;
	char buf[SHOWN_MAX];
	uint32_t devid = 0;
	int rc;

	if (args->vdev && parse_vdev(args->vdev, &devid))
		return failure("'%s' is not a virtual device: write xvda, xvdb … or its number",
			       shown(buf, args->vdev));
	rc = find_domain(ctl, args->domain, &domid);
	if (!rc && args->backend)
		rc = find_domain(ctl, args->backend, &backend);
	if (rc)
		return rc;
	if (!domid)
		return failure("domain 0 is given no disk: it is the toolstack's, and has those of "
			       "this machine");
	if (domid == backend)
		return failure("domain %s cannot serve itself: name the driver domain with "
			       "--backend",
			       domain_name(ctl, domid, buf));
	if (args->image && backend == ctl->self) {
		rc = check_image(ctl);
		if (rc)
			return rc;
	}
	device_init(&attach.device, domid, backend, devid);
	rc = write_device(ctl, &attach);
	if (rc)
		return write_failed(ctl, &attach, rc);
	if (!args->no_wait) {
		rc = wait_for_backend(ctl, &attach);
		if (rc)
			return rc;
	}
	return report(ctl, &attach);
}
