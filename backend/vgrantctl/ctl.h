/* SPDX-License-Identifier: MIT */
/*
 * vgrantctl: attaches, detaches and shows devices, through xenstore only.
 *
 * Nothing that stands in xenstore below a guest or a driver domain is trusted, not even when this
 * runs in the toolstack's domain: paths are built here and never followed, numbers are parsed
 * strictly, strings are escaped before they are shown.
 */
#ifndef VGRANTCTL_CTL_H
#define VGRANTCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <vgrant/store.h>
#include <vgrant/xenbus.h>

#define EXIT_USAGE 2

#define KEY_ERROR         "vgrant-error"
#define KEY_BUS           "vgrant-bus"
#define KEY_ENGINE        "vgrant-engine"
#define KEY_QUEUES        "vgrant-queues"
#define KEY_SIZE          "vgrant-size"
#define KEY_DRIVER        "vgrant-driver"
#define KEY_IOREQ         "vgrant-ioreq"
#define KEY_STATS         "vgrant-stats"
#define KEY_STATS_REQUEST "vgrant-stats-request"

/* Xen's DOMID_FIRST_RESERVED, less one. */
#define DOMID_MAX 0x7fef

enum command {
	CMD_ATTACH,
	CMD_DETACH,
	CMD_LIST,
	CMD_SHOW,
	CMD_STATS,
};

/* The command line, checked as far as it can be without xenstore. Strings are argv's. */
struct arguments {
	enum command command;
	const char *domain; /* NULL: all */
	const char *vdev;   /* NULL: all, or the first free one */
	const char *backend;
	const char *image;
	const char *engine;
	uint64_t size;
	uint32_t queues;
	uint32_t irq;           /* 0: none was named */
	unsigned int timeout_s; /* 0: the command's default */
	bool read_only, untrusted, force, no_wait, json;
};

struct ctl {
	struct arguments args;
	struct vg_store *store;
	uint16_t self; /* the domain in which this runs */
};

/* ---- main.c ---- */

/* Says it on stderr and returns 1, the exit status. */
__attribute__((format(printf, 1, 2))) int failure(const char *fmt, ...);

/* ---- text.c ---- */

#define SHOWN_MAX 1024 /* bytes of escaped text, with the final NUL; longer text is cut */

/*
 * @text as it can be shown on a terminal: printable characters of valid UTF-8 as they are, all else
 * as \xNN. Returns @buf[SHOWN_MAX].
 */
const char *shown(char *buf, const char *text);
/* A JSON string; what is not valid UTF-8 becomes U+FFFD. NULL: no memory. */
json_t *json_text(const char *text);
/* Writes @json, whose reference it takes, to stdout. Returns an exit status. */
int print_json(json_t *json);

/* ---- names.c: domains and virtual devices ---- */

/* A decimal number without leading zeros; false when it is anything else or more than @max. */
bool parse_number(const char *text, uint32_t max, uint32_t *value);
/* A domain's name or number: 0, or an exit status with the reason said. */
int find_domain(struct ctl *ctl, const char *text, uint16_t *domid);
/* The domain's name, or its number where the name cannot be read. Returns @buf[SHOWN_MAX]: fit to
 * be shown. */
const char *domain_name(struct ctl *ctl, uint16_t domid, char *buf);
/* All domains, in ascending order: *domids is the caller's, to be freed. Where they cannot be
 * listed, only this one. Returns the count or negative errno. */
int list_domains(struct ctl *ctl, uint16_t **domids);

/* "xvda", "xvdb3", "51712": -EINVAL when it is none of these. */
int parse_vdev(const char *text, uint32_t *devid);
/* Returns @buf[16]. */
const char *vdev_name(uint32_t devid, char *buf);
/* The whole disk number @index: xvda, xvdb, … */
uint32_t vdev_of_disk(unsigned int index);

/* ---- device.c ---- */

struct device {
	uint16_t domid;   /* the guest */
	uint16_t backend; /* the driver domain */
	uint32_t devid;
	char dir[96];   /* the backend's directory */
	char front[96]; /* the guest's */
	bool leftover;  /* the guest's is all that is left: an interrupted detach */
};

/* What is shown of a device; unreadable strings are empty, unreadable numbers 0. */
struct device_info {
	uint32_t state, front_state;
	bool online, read_only, served; /* served: a vgrantd has taken it up */
	bool connected;                 /* the guest's driver uses it */
	uint32_t queues;
	char mode[8];
	char engine[32];
	char image[VG_STORE_VALUE_MAX];
	char error[VG_STORE_VALUE_MAX];
};

void device_init(struct device *device, uint16_t domid, uint16_t backend, uint32_t devid);
/* Reads dir/key; *value is "" when it cannot. Returns 0 or negative errno. */
int device_read(struct ctl *ctl, const char *dir, const char *key, char *value, size_t size);
void device_read_info(struct ctl *ctl, const struct device *device, struct device_info *info);
/* "waiting for the guest's driver" … */
const char *state_words(const struct device_info *info);
const char *state_name(uint32_t state);

/* Devices that match, sorted by guest, device and backend: -1 matches all. *devices is the
 * caller's, to be freed. Returns the count or negative errno. */
int find_devices(struct ctl *ctl, int domid, int64_t devid, struct device **devices);
/* Adds the devices that are half removed to what find_devices() found. Returns the new count or
 * -ENOMEM. */
int find_leftovers(struct ctl *ctl, struct device **devices, int count);
/*
 * The one device that the command line names: 0, or an exit status with the reason said. With
 * @leftover, a guest's directory whose backend's has gone is found too: *leftover is set.
 */
int find_device(struct ctl *ctl, struct device *device, bool *leftover);

/* ---- wait.c ---- */

/*
 * Waits, at most @timeout_s, until @done says true; asks at every change below @dir. Returns 0,
 * -ETIMEDOUT or another negative errno.
 */
int wait_for(struct ctl *ctl, const char *dir, unsigned int timeout_s,
	     bool (*done)(struct ctl *ctl, void *opaque), void *opaque);

/* ---- the commands: exit statuses ---- */

int cmd_attach(struct ctl *ctl);
int cmd_detach(struct ctl *ctl);
int cmd_list(struct ctl *ctl);
int cmd_show(struct ctl *ctl);
int cmd_stats(struct ctl *ctl);

/*
 * Asks the backend to let go, waits for that, removes both directories. -EACCES; -ETIMEDOUT when
 * it did not: then the directories stay, unless @force.
 */
int take_back(struct ctl *ctl, const struct device *device, unsigned int timeout_s, bool force);

#endif
