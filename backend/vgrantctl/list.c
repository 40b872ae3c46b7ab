// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static json_t *device_json(const struct device *device, const struct device_info *info)
{
	char vdev[16];
	json_t *json =
		json_pack("{s:i, s:i, s:s, s:I, s:s, s:s, s:b, s:b, s:b, s:i, s:o}", "domain",
			  (int)device->domid, "backend", (int)device->backend, "vdev",
			  vdev_name(device->devid, vdev), "devid", (json_int_t)device->devid,
			  "state", state_name(info->state), "guest-state",
			  state_name(info->front_state), "connected", (int)info->connected,
			  "online", (int)info->online, "read-only", (int)info->read_only, "queues",
			  (int)info->queues, "engine", json_text(info->engine));

	if (json && device->leftover)
		json_object_set_new(json, "half-removed", json_true());
	if (json && info->image[0])
		json_object_set_new(json, "image", json_text(info->image));
	if (json && info->error[0])
		json_object_set_new(json, "error", json_text(info->error));
	return json;
}

static int list_json(struct ctl *ctl, const struct device *devices, int count)
{
	json_t *array = json_array();

	for (int i = 0; array && i < count; i++) {
		struct device_info info;

		device_read_info(ctl, &devices[i], &info);
		if (json_array_append_new(array, device_json(&devices[i], &info))) {
			json_decref(array);
			array = NULL;
		}
	}
	return print_json(array);
}

/* What is half removed is removed by the same command again. */
static void tell_leftovers(struct ctl *ctl, const struct device *devices, int count)
{
	char guest[SHOWN_MAX], vdev[16];

	for (int i = 0; i < count; i++) {
		if (devices[i].leftover)
			fprintf(stderr,
				"vgrantctl: a detach was interrupted: 'vgrantctl detach %s %s' "
				"removes what is left\n",
				domain_name(ctl, devices[i].domid, guest),
				vdev_name(devices[i].devid, vdev));
	}
}

static int list_text(struct ctl *ctl, const struct device *devices, int count)
{
	if (!count) {
		fputs("vgrantctl: no devices\n", stderr);
		return 0;
	}
	printf("%-20s %-8s %-20s %-4s %-20s %s\n", "DOMAIN", "VDEV", "BACKEND", "MODE", "STATE",
	       "IMAGE");
	for (int i = 0; i < count; i++) {
		char guest[SHOWN_MAX], backend[SHOWN_MAX], image[SHOWN_MAX], vdev[16];
		struct device_info info;

		device_read_info(ctl, &devices[i], &info);
		shown(image, info.image[0] ? info.image : "-");
		printf("%-20s %-8s %-20s %-4s %-20s %s\n",
		       domain_name(ctl, devices[i].domid, guest), vdev_name(devices[i].devid, vdev),
		       domain_name(ctl, devices[i].backend, backend),
		       devices[i].leftover ? "-"
		       : info.read_only    ? "r"
					   : "w",
		       devices[i].leftover ? "half removed" : state_words(&info), image);
	}
	tell_leftovers(ctl, devices, count);
	return 0;
}

int cmd_list(struct ctl *ctl)
{
	struct device *devices = NULL;
	int count = find_devices(ctl, -1, -1, &devices);
	int rc;

	if (count >= 0)
		count = find_leftovers(ctl, &devices, count);
	if (count < 0) {
		free(devices);
		return failure("cannot read xenstore: %s", strerror(-count));
	}
	rc = ctl->args.json ? list_json(ctl, devices, count) : list_text(ctl, devices, count);
	free(devices);
	return rc;
}

static void show_text(struct ctl *ctl, const struct device *device, const struct device_info *info)
{
	char buf[SHOWN_MAX], vdev[16];

	printf("domain:      %u (%s)\n", device->domid, domain_name(ctl, device->domid, buf));
	printf("device:      %s (%" PRIu32 ")\n", vdev_name(device->devid, vdev), device->devid);
	printf("backend:     %u (%s)\n", device->backend, domain_name(ctl, device->backend, buf));
	printf("state:       %s (%s)\n", state_words(info), state_name(info->state));
	printf("guest state: %s\n", state_name(info->front_state));
	printf("mode:        %s\n", info->read_only ? "read-only" : "read-write");
	printf("engine:      %s\n", shown(buf, info->engine));
	printf("queues:      %" PRIu32 "\n", info->queues);
	if (info->image[0])
		printf("image:       %s\n", shown(buf, info->image));
	if (!info->online)
		puts("online:      no, it is being removed");
	if (info->error[0])
		printf("error:       %s\n", shown(buf, info->error));
}

int cmd_show(struct ctl *ctl)
{
	struct device_info info;
	struct device device;
	int rc = find_device(ctl, &device, NULL);

	if (rc)
		return rc;
	device_read_info(ctl, &device, &info);
	if (ctl->args.json)
		return print_json(device_json(&device, &info));
	show_text(ctl, &device, &info);
	return 0;
}
