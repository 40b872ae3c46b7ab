// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/device.h>
#include <vgrant/mmio.h>

#include "node.h"
#include "supervisor.h"
#include "text.h"

#define SECTOR 512

/* How long a frontend that has not been seen yet may stay away: a toolstack writes both directories
 * in one transaction, a person with xenstore-write does not. */
#define FRONT_GRACE_MS 30000

static int read_key(struct vgd_node *node, const char *key, char *value, size_t size)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/%s", node->dir, key);

	return rc ? rc : vg_store_read(node->sup->store, path, value, size);
}

/* A key that may be missing: then @fallback. */
static int read_choice(struct vgd_node *node, const char *key, const char *fallback, char *value,
		       size_t size)
{
	int rc = read_key(node, key, value, size);

	if (rc == -ENOENT) {
		snprintf(value, size, "%s", fallback);
		rc = 0;
	}
	return rc;
}

static int refuse(char *words, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(char *words, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, size, fmt, ap);
	va_end(ap);
	vgd_printable(words);
	return -EINVAL;
}

/* The frontend's path is ours to verify, not to follow. */
static int check_frontend(struct vgd_node *node, char *words, size_t size)
{
	char value[VG_STORE_VALUE_MAX];
	char path[VG_STORE_PATH_MAX];
	uint32_t id;
	int rc;

	rc = vg_store_path(path, "%s/frontend-id", node->dir);
	if (!rc)
		rc = vg_store_read_u32(node->sup->store, path, UINT16_MAX, &id);
	if (rc || id != node->domid)
		return refuse(words, size, "frontend-id is not %u, the domain in the path",
			      node->domid);
	if (read_key(node, "frontend", value, sizeof(value)) || strcmp(value, node->front) != 0)
		return refuse(words, size, "frontend is not %s, the only place for it",
			      node->front);
	return 0;
}

static int check_kind(struct vgd_node *node, char *words, size_t size)
{
	char value[VG_STORE_VALUE_MAX];

	if (strcmp(node->kind, VG_KIND_DISK) != 0) {
		if (read_choice(node, "type", "", value, sizeof(value)))
			value[0] = '\0';
		return refuse(words, size,
			      "vgrantd does not serve devices of kind %s (type '%.64s') yet: only "
			      "disks, which xl attaches by disk= with specification=virtio",
			      node->kind, value);
	}
	if (read_choice(node, "specification", "virtio", value, sizeof(value)) ||
	    strcmp(value, "virtio") != 0)
		return refuse(words, size, "specification is '%.64s': vgrantd serves virtio only",
			      value);
	return 0;
}

static int check_mode(struct vgd_node *node, struct vgd_config *config, char *words, size_t size)
{
	char value[VG_STORE_VALUE_MAX];

	if (read_key(node, "mode", value, sizeof(value)) ||
	    (strcmp(value, "r") != 0 && strcmp(value, "w") != 0))
		return refuse(words, size, "mode is neither r nor w");
	config->read_only = value[0] == 'r';
	return 0;
}

static int check_queues(struct vgd_node *node, struct vgd_config *config, char *words, size_t size)
{
	char path[VG_STORE_PATH_MAX];
	int rc = vg_store_path(path, "%s/" VGD_KEY_QUEUES, node->dir);

	config->queues = 1;
	if (!rc)
		rc = vg_store_read_u32(node->sup->store, path, VG_DEVICE_MAX_QUEUES,
				       &config->queues);
	if (rc == -ENOENT) {
		config->queues = 1;
		rc = 0;
	}
	if (rc || !config->queues)
		return refuse(words, size, VGD_KEY_QUEUES " is not a number from 1 to %d",
			      VG_DEVICE_MAX_QUEUES);
	return 0;
}

/* Decimal digits and nothing else. */
static int parse_u64(const char *text, uint64_t *value)
{
	size_t len = strlen(text);

	if (!len || len > 20 || strspn(text, "0123456789") != len)
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, NULL, 10);
	return errno ? -EINVAL : 0;
}

static int check_engine(struct vgd_node *node, struct vgd_config *config, char *words, size_t size)
{
	char value[VG_STORE_VALUE_MAX];

	if (read_choice(node, VGD_KEY_ENGINE, "file", value, sizeof(value)))
		value[0] = '\0';
	if (!strcmp(value, "file")) {
		config->engine = VG_IPC_ENGINE_FILE;
		if (read_key(node, "params", config->image, sizeof(config->image)) ||
		    !config->image[0])
			return refuse(words, size, "params names no image");
		return 0;
	}
	if (strcmp(value, "null") != 0)
		return refuse(words, size,
			      VGD_KEY_ENGINE " is '%.32s': vgrantd has the engines file and null",
			      value);
	config->engine = VG_IPC_ENGINE_NULL;
	if (read_key(node, VGD_KEY_SIZE, value, sizeof(value)) ||
	    parse_u64(value, &config->null_size) || config->null_size < SECTOR ||
	    config->null_size % SECTOR || config->null_size > INT64_MAX)
		return refuse(words, size,
			      VGD_KEY_SIZE " is not the size of a disk in bytes, a multiple of %d: "
					   "the engine null needs it",
			      SECTOR);
	return 0;
}

/* Decimal, or hexadecimal after "0x": libxl writes an address in either way. A missing key is 0. */
static int read_address(struct vgd_node *node, const char *key, uint64_t *value)
{
	char text[VG_STORE_VALUE_MAX];
	int rc = read_choice(node, key, "0", text, sizeof(text));
	size_t len;

	if (rc)
		return rc;
	if (strncmp(text, "0x", 2) != 0)
		return parse_u64(text, value);
	len = strlen(text + 2);
	if (!len || len > 16 || strspn(text + 2, "0123456789abcdefABCDEF") != len)
		return -EINVAL;
	*value = strtoull(text + 2, NULL, 16);
	return 0;
}

/* What kind of guest it is, where the toolstack's own part of xenstore can be read. */
static bool is_hvm(struct vgd_node *node)
{
	char path[VG_STORE_PATH_MAX], type[8];

	return !vg_store_path(path, "/libxl/%u/type", node->domid) &&
	       !vg_store_read(node->sup->store, path, type, sizeof(type)) && !strcmp(type, "hvm");
}

/* Does it have the line, or did an earlier vgrantd leave it with the line? */
static bool has_isa_line(struct vgd_node *node, uint32_t irq)
{
	char path[VG_STORE_PATH_MAX];
	uint32_t left;

	if (node->phase >= VGD_OPENING && node->phase <= VGD_DETACHING)
		return node->config.bus == VG_IPC_BUS_MMIO &&
		       node->config.irq_kind == VG_IPC_IRQ_ISA && node->config.irq == irq;
	return node->phase == VGD_NEW && vgd_mmio_left(node) &&
	       !vg_store_path(path, "%s/irq", node->dir) &&
	       !vg_store_read_u32(node->sup->store, path, 1023, &left) && left == irq;
}

/* Xen knows one level of an ISA line: a device that lowers it would take away another's interrupt.
 * Whose it was before a restart it stays. */
static bool isa_is_taken(const struct vgd_node *node, uint32_t irq)
{
	for (struct vgd_node *other = node->sup->nodes; other; other = other->next)
		if (other != node && !other->dead && other->domid == node->domid &&
		    has_isa_line(other, irq))
			return true;
	return false;
}

static int check_interrupt(struct vgd_node *node, struct vgd_config *config, char *words,
			   size_t size)
{
#if defined(__aarch64__) || defined(__arm__)
	const char *usual = "spi";
#else
	const char *usual = "isa";
#endif
	char path[VG_STORE_PATH_MAX], value[VG_STORE_VALUE_MAX];
	int rc = vg_store_path(path, "%s/irq", node->dir);

	if (!rc)
		rc = vg_store_read_u32(node->sup->store, path, 1023, &config->irq);
	if (rc == -ENOENT)
		rc = 0;
	if (rc)
		return refuse(words, size, "irq is not the number of an interrupt");
	if (read_choice(node, VGD_KEY_INTERRUPT, config->irq ? usual : "event-channel", value,
			sizeof(value)))
		value[0] = '\0';
	if (!strcmp(value, "event-channel")) {
		config->irq_kind = VG_IPC_IRQ_EVTCHN;
	} else if (!strcmp(value, "spi") && config->irq >= 32) {
		config->irq_kind = VG_IPC_IRQ_SPI;
	} else if (!strcmp(value, "isa") && config->irq && config->irq < 16) {
		/* Anywhere else Xen would end the machine over it. */
		if (!is_hvm(node))
			return refuse(words, size,
				      "an ISA interrupt (irq %u) is for an HVM guest, which dom%u "
				      "is not: leave irq at 0",
				      config->irq, node->domid);
		if (isa_is_taken(node, config->irq))
			return refuse(
				words, size,
				"irq %u is another device's: each needs an ISA line of its own",
				config->irq);
		config->irq_kind = VG_IPC_IRQ_ISA;
	} else {
		return refuse(words, size,
			      VGD_KEY_INTERRUPT " '%.32s' and irq %u do not fit: event-channel, "
						"spi with irq 32 to 1023, isa with irq 1 to 15",
			      value, config->irq);
	}
	return 0;
}

static int check_mmio(struct vgd_node *node, struct vgd_config *config, char *words, size_t size)
{
	char value[VG_STORE_VALUE_MAX];

	if (read_choice(node, "grant_usage", "1", value, sizeof(value)))
		value[0] = '\0';
#ifndef VGRANT_IGNORE_GRANT_USAGE
	if (strcmp(value, "1") != 0)
		return refuse(words, size,
			      "grant_usage is '%.8s': without grants virtio-mmio would need all of "
			      "the guest's memory, which vgrantd does not map: write grant_usage=1 "
			      "into the disk's line",
			      value);
#endif
	if (config->base % VG_MMIO_SIZE || config->base > UINT64_MAX - VG_MMIO_SIZE)
		return refuse(words, size,
			      "base is not an address of registers, which begin at a "
			      "multiple of 0x200");
	return check_interrupt(node, config, words, size);
}

/* Which bus: spec/virtio-xen.md, section 13. */
static int check_bus(struct vgd_node *node, struct vgd_config *config, char *words, size_t size)
{
	enum vgrantd_bus want = node->sup->options->bus;
	char value[VG_STORE_VALUE_MAX];

	if (read_address(node, "base", &config->base))
		return refuse(words, size, "base is not an address");
	if (read_choice(node, VGD_KEY_BUS, "", value, sizeof(value)))
		return refuse(words, size, VGD_KEY_BUS " cannot be read");
	if (!strcmp(value, "msg"))
		want = VGRANTD_BUS_MSG;
	else if (!strcmp(value, "mmio"))
		want = VGRANTD_BUS_MMIO;
	else if (value[0])
		return refuse(words, size, VGD_KEY_BUS " is '%.32s': there are msg and mmio",
			      value);
	config->bus = VG_IPC_BUS_MSG;
	if (want == VGRANTD_BUS_MSG || (want == VGRANTD_BUS_AUTO && !config->base))
		return 0;
	if (read_choice(node, "transport", "mmio", value, sizeof(value)) ||
	    strcmp(value, "mmio") != 0)
		return refuse(words, size, "transport is '%.32s': there is mmio", value);
	config->bus = VG_IPC_BUS_MMIO;
	config->bus_is_a_guess = want == VGRANTD_BUS_AUTO && !vgd_mmio_left(node);
	return check_mmio(node, config, words, size);
}

/* "dom3 xvda"; the name is the administrator's, but it goes into log lines. */
static void set_label(struct vgd_node *node)
{
	char dev[VG_STORE_VALUE_MAX];
	size_t len;

	if (read_key(node, "dev", dev, sizeof(dev)))
		dev[0] = '\0';
	len = strspn(dev, "abcdefghijklmnopqrstuvwxyz0123456789");
	if (len && len <= 12 && !dev[len])
		snprintf(node->label, sizeof(node->label), "dom%u %.12s", node->domid, dev);
}

int vgd_config_read(struct vgd_node *node, struct vgd_config *config, char *words,
		    size_t words_size)
{
	int rc;

	memset(config, 0, sizeof(*config));
	set_label(node);
	rc = check_frontend(node, words, words_size);
	if (!rc)
		rc = check_kind(node, words, words_size);
	if (!rc)
		rc = check_mode(node, config, words, words_size);
	if (!rc)
		rc = check_queues(node, config, words, words_size);
	if (!rc)
		rc = check_engine(node, config, words, words_size);
	if (!rc)
		rc = check_bus(node, config, words, words_size);
	return rc;
}

/* The frontend's state cannot be read. Has its domain gone, or has it not come yet? */
static bool front_gone(struct vgd_node *node, int error)
{
	char path[VG_STORE_PATH_MAX];
	char value[8];

	if (node->front_seen)
		return true;
	/* Who may read everything knows at once whether the domain is there; a driver domain may
	 * not even ask. */
	if (error == -ENOENT && !vg_store_path(path, "/local/domain/%u", node->domid) &&
	    vg_store_read(node->sup->store, path, value, sizeof(value)) == -ENOENT)
		return true;
	if (!node->front_until_ms)
		node->front_until_ms = node->sup->now_ms + FRONT_GRACE_MS;
	return node->sup->now_ms >= node->front_until_ms;
}

static void look_front(struct vgd_node *node, struct vgd_look *look)
{
	int rc = vg_store_read_u32(node->sup->store, node->front_state, VG_XENBUS_CLOSED,
				   &look->front);

	if (!rc) {
		node->front_seen = true;
		if (look->front != VG_XENBUS_INITIALISING)
			node->front_moved = true;
		return;
	}
	look->front = 0;
	look->gone = (rc == -ENOENT || rc == -EACCES) && front_gone(node, rc);
}

void vgd_node_look(struct vgd_node *node, struct vgd_look *look)
{
	struct vg_store *store = node->sup->store;
	char path[VG_STORE_PATH_MAX];
	uint32_t online = 1;
	int rc;

	memset(look, 0, sizeof(*look));
	rc = vg_store_path(path, "%s/state", node->dir);
	if (!rc)
		rc = vg_store_read_u32(store, path, VG_XENBUS_CLOSED, &look->own);
	if (rc == -EACCES && node->phase == VGD_NEW)
		vgd_node_log(node, VG_LOG_WARN, "%s in xenstore must belong to this domain",
			     node->dir);
	if (rc)
		look->own = rc == -ENOENT || rc == -EACCES ? 0 : VGD_OWN_ODD;
	/* What writes less than a toolstack does wants the device all the same. */
	rc = vg_store_path(path, "%s/online", node->dir);
	if (!rc)
		rc = vg_store_read_u32(store, path, 1, &online);
	look->online = rc || online;
	look_front(node, look);
}
