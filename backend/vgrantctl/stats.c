// SPDX-License-Identifier: MIT
/* Figures: a nonce is written, the answer begins with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ctl.h"

#define TIMEOUT_S  5
#define FIGURE_MAX 32
#define ANSWER_MAX 4096 /* bytes that a value in xenstore may have */

struct question {
	const struct device *device;
	char nonce[17];
	char answer[ANSWER_MAX + 1];
};

struct figure {
	char name[FIGURE_MAX];
	char text[FIGURE_MAX];
	bool number;
	uint64_t value;
};

static bool answered(struct ctl *ctl, void *opaque)
{
	struct question *question = opaque;
	size_t len = strlen(question->nonce);

	return !device_read(ctl, question->device->dir, KEY_STATS, question->answer,
			    sizeof(question->answer)) &&
	       !strncmp(question->answer, question->nonce, len) &&
	       (question->answer[len] == ' ' || !question->answer[len]);
}

static int ask(struct ctl *ctl, struct question *question)
{
	char path[VG_STORE_PATH_MAX];
	uint64_t nonce;
	int rc;

	if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -EIO;
	snprintf(question->nonce, sizeof(question->nonce), "%016" PRIx64, nonce);
	rc = vg_store_path(path, "%s/" KEY_STATS_REQUEST, question->device->dir);
	if (!rc)
		rc = vg_store_write(ctl->store, path, question->nonce);
	if (rc)
		return rc;
	return wait_for(ctl, question->device->dir,
			ctl->args.timeout_s ? ctl->args.timeout_s : TIMEOUT_S, answered, question);
}

/* Takes "name=value" apart. False: it is not of that form, and is not shown. */
static bool parse_figure(const char *text, struct figure *figure)
{
	const char *equals = strchr(text, '=');
	size_t name_len = equals ? (size_t)(equals - text) : 0;
	size_t len = equals ? strlen(equals + 1) : 0;

	if (!name_len || name_len >= sizeof(figure->name) || !len || len >= sizeof(figure->text) ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != name_len)
		return false;
	memcpy(figure->name, text, name_len);
	figure->name[name_len] = '\0';
	memcpy(figure->text, equals + 1, len + 1);
	figure->number = strspn(figure->text, "0123456789") == len;
	errno = 0;
	figure->value = figure->number ? strtoull(figure->text, NULL, 10) : 0;
	if (errno || figure->value > INT64_MAX)
		figure->number = false;
	return true;
}

/* The next figure of an answer, of which *rest is what is left; false: that was all. */
static bool next_figure(char **rest, struct figure *figure)
{
	char *word;

	while ((word = strsep(rest, " "))) {
		if (parse_figure(word, figure))
			return true;
	}
	return false;
}

static void show_figures(struct ctl *ctl, const struct device *device, char *text)
{
	char name[SHOWN_MAX], buf[SHOWN_MAX], vdev[16];
	struct figure figure;

	printf("%s %s:\n", domain_name(ctl, device->domid, name), vdev_name(device->devid, vdev));
	while (next_figure(&text, &figure))
		printf("  %-20s %s\n", figure.name, shown(buf, figure.text));
}

static int add_json(json_t *array, const struct device *device, char *text)
{
	char vdev[16];
	json_t *object = json_object();
	struct figure figure;

	while (next_figure(&text, &figure))
		json_object_set_new(object, figure.name,
				    figure.number ? json_integer((json_int_t)figure.value)
						  : json_text(figure.text));
	return json_array_append_new(array,
				     json_pack("{s:i, s:i, s:s, s:I, s:o}", "domain",
					       (int)device->domid, "backend", (int)device->backend,
					       "vdev", vdev_name(device->devid, vdev), "devid",
					       (json_int_t)device->devid, "stats", object));
}

static int no_answer(struct ctl *ctl, const struct device *device, int error)
{
	char guest[SHOWN_MAX], backend[SHOWN_MAX], vdev[16];

	domain_name(ctl, device->domid, guest);
	domain_name(ctl, device->backend, backend);
	vdev_name(device->devid, vdev);
	switch (error) {
	case -ETIMEDOUT:
		return failure("no vgrantd answered in domain %s within %u s for %s of domain %s: "
			       "is it running there?",
			       backend, ctl->args.timeout_s ? ctl->args.timeout_s : TIMEOUT_S, vdev,
			       guest);
	case -EACCES:
	case -EPERM:
		return failure("no permission to ask for the figures of %s of domain %s: run this "
			       "as root, in dom0 or in the driver domain",
			       vdev, guest);
	default:
		return failure("cannot ask for the figures of %s of domain %s: %s", vdev, guest,
			       strerror(-error));
	}
}

/* One device that does not answer does not hide the others. */
static int ask_all(struct ctl *ctl, const struct device *devices, int count, json_t *array)
{
	int status = 0;

	for (int i = 0; i < count; i++) {
		struct question question = {.device = &devices[i]};
		int rc = ask(ctl, &question);
		char *text = question.answer + strlen(question.nonce);

		if (rc) {
			status = no_answer(ctl, &devices[i], rc);
			continue;
		}
		if (array && add_json(array, &devices[i], text))
			status = failure("out of memory");
		if (!array)
			show_figures(ctl, &devices[i], text);
	}
	return status;
}

/* The devices that the command line names: *devices is the caller's. 0, or an exit status. */
static int choose(struct ctl *ctl, struct device **devices, int *count)
{
	char name[SHOWN_MAX];
	uint16_t domid = 0;
	int rc = 0;

	*devices = NULL;
	if (ctl->args.vdev) {
		*count = 1;
		*devices = calloc(1, sizeof(**devices));
		return *devices ? find_device(ctl, *devices, NULL) : failure("out of memory");
	}
	if (ctl->args.domain)
		rc = find_domain(ctl, ctl->args.domain, &domid);
	if (rc)
		return rc;
	*count = find_devices(ctl, ctl->args.domain ? (int)domid : -1, -1, devices);
	if (*count < 0)
		return failure("cannot read xenstore: %s", strerror(-*count));
	if (!*count && ctl->args.domain)
		return failure("domain %s has no devices of vgrantd's",
			       domain_name(ctl, domid, name));
	if (!*count)
		fputs("vgrantctl: no devices\n", stderr);
	return 0;
}

int cmd_stats(struct ctl *ctl)
{
	struct device *devices;
	json_t *array = NULL;
	int count, rc;

	rc = choose(ctl, &devices, &count);
	if (!rc && ctl->args.json) {
		array = json_array();
		if (!array)
			rc = failure("out of memory");
	}
	if (!rc)
		rc = ask_all(ctl, devices, count, array);
	free(devices);
	if (array && print_json(array))
		rc = 1;
	return rc;
}
