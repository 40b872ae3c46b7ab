/* SPDX-License-Identifier: MIT */
/*
 * One xenbus backend directory: backend/KIND/GUEST/DEVID in our part of xenstore. The states are
 * those of spec/virtio-xen.md, "Life cycle".
 *
 *   NEW       the directory is there, perhaps half written
 *   OPENING   waits for the image's lock, or for the end of a guest's penalty
 *   WAIT      state 2: the frontend's turn
 *   ATTACHING the worker maps the control page
 *   CONNECTED state 4
 *   CLOSING   the toolstack unplugs: the frontend may still flush
 *   DETACHING the worker drains and unmaps
 *   CLOSED    state 6: the frontend may come back, the toolstack may remove or retry
 *   REMOVING  state 6: the toolstack has a moment to see that before the directory goes
 */
#ifndef VGRANTD_NODE_H
#define VGRANTD_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgrant/log.h>
#include <vgrant/store.h>
#include <vgrant/xenbus.h>

#include "image.h"
#include "ipc.h"
#include "state.h"

struct vgd_look;
struct vgd_supervisor;
struct vgd_worker;

#define VGD_WORDS_MAX VG_IPC_WORDS_MAX
#define VGD_NONCE_MAX 33

#define VGD_KEY_ERROR         "vgrant-error"
#define VGD_KEY_ENGINE        "vgrant-engine"
#define VGD_KEY_QUEUES        "vgrant-queues"
#define VGD_KEY_SIZE          "vgrant-size"
#define VGD_KEY_BUS           "vgrant-bus"
#define VGD_KEY_INTERRUPT     "vgrant-interrupt"
#define VGD_KEY_IOREQ         "vgrant-ioreq"
#define VGD_KEY_RESUME        "vgrant-resume"
#define VGD_KEY_DRIVER        "vgrant-driver"
#define VGD_KEY_STATS         "vgrant-stats"
#define VGD_KEY_STATS_REQUEST "vgrant-stats-request"

enum vgd_phase {
	VGD_NEW,
	VGD_OPENING,
	VGD_WAIT,
	VGD_ATTACHING,
	VGD_CONNECTED,
	VGD_CLOSING,
	VGD_DETACHING,
	VGD_CLOSED,
	VGD_REMOVING,
};

/* What our own directory says, checked. */
struct vgd_config {
	enum vg_ipc_bus bus;
	bool bus_is_a_guess; /* nobody said so: the other one will do */
	uint64_t base;       /* virtio-mmio: 0 is for us to choose */
	enum vg_ipc_irq irq_kind;
	uint32_t irq;
	enum vg_ipc_engine engine;
	bool read_only;
	uint32_t queues;
	uint64_t null_size;
	char image[VG_STORE_VALUE_MAX];
};

/* Something that xenstored refused and that is tried again, less and less often. */
struct vgd_retry {
	uint64_t at_ms;   /* VGD_NEVER: nothing is owed */
	uint32_t wait_ms; /* before the next one; 0: the last one was taken */
};

struct vgd_node {
	struct vgd_node *next;
	struct vgd_supervisor *sup;
	char kind[16];
	uint16_t domid;
	uint32_t devid;
	char dir[64];   /* backend/KIND/GUEST/DEVID, relative to our own domain */
	char front[64]; /* the frontend's directory: there is one place where it can be */
	char front_state[72];
	char token[32]; /* of the watch on the frontend's state */
	char label[VG_IPC_LABEL_MAX];

	enum vgd_phase phase;
	struct vgd_config config;
	bool watching;
	bool front_seen;  /* the frontend's state was readable once: from then on, unreadable is
			     gone */
	bool front_moved; /* it had another state than 1 since we began: 1 means it comes again */
	bool removed;     /* our directory has gone: nothing more is written */
	bool replaced;    /* our directory was made anew while a worker had the device */
	bool dirty;       /* something changed: vgd_node_run() */
	bool stats_dirty;
	bool leave; /* vgrantd ends, and the device, on virtio-mmio, does not */
	bool dead;  /* to be freed by the supervisor */

	int image; /* open from OPENING to ATTACHING, then it is the worker's; -1 */
	struct vgd_image_id image_id; /* while has_image */
	bool has_image;
	struct vgd_worker *worker;  /* from ATTACHING to the end of DETACHING */
	uint32_t device;            /* id in the worker */
	enum vg_xenbus_state state; /* what we wrote last, or are to write: state_retry */
	struct vgd_retry state_retry;
	struct vgd_retry publish_retry; /* CLOSED because nothing could be offered: begin anew */
	bool reopen;                    /* as soon as the frontend waits for it */
	int write_error;                /* that was told last */

	uint64_t deadline_ms;    /* of the phase */
	uint64_t front_until_ms; /* how long a frontend that was never seen may stay away */
	uint64_t not_before_ms;  /* a guest that comes and goes is not served faster than this */
	uint64_t log_from_ms;    /* log allowance of what a guest can cause */
	uint64_t stats_cookie;   /* of the question under way, or 0 */
	unsigned int log_used;

	/* virtio-mmio: node_mmio.c */
	uint32_t ioreq; /* the guest's IOREQ server, or VG_IOREQ_NONE */
	uint32_t port;  /* that the worker was told to bind, or 0 */
	unsigned int busy_tries, attach_tries;
	bool wait_told;
	bool driver;                /* the worker says: it has set DRIVER_OK */
	bool driver_told;           /* so it stands in our directory */
	uint64_t driver_ms;         /* not before this it is written again */
	char resume[VGD_TOKEN_MAX]; /* of the file of its registers; "": there is none */

	char stats_nonce[VGD_NONCE_MAX];
};

/* ---- node.c: the state machine ---- */

/* The node of backend/@kind/@domid/@devid, made if there is none. NULL: no memory. */
struct vgd_node *vgd_node_get(struct vgd_supervisor *sup, const char *kind, uint16_t domid,
			      uint32_t devid);
void vgd_node_free(struct vgd_node *node);
/* Looks at both directories and moves on. Does not block but for xenstored and the file system. */
void vgd_node_run(struct vgd_node *node);
/* When vgd_node_run() wants to be called without an event. */
uint64_t vgd_node_deadline(const struct vgd_node *node);

/* The worker's answers. */
void vgd_node_attached(struct vgd_node *node, const struct vg_ipc_result *result);
void vgd_node_detached(struct vgd_node *node);
/* The worker has let go: the connection broke, or the worker died. */
void vgd_node_failed(struct vgd_node *node, const char *words);

/* Steps of the state machine, for node_mmio.c. */
void vgd_node_enter(struct vgd_node *node, enum vgd_phase phase, uint64_t wait_ms);
void vgd_node_refuse(struct vgd_node *node, const char *words);
/* A worker for the device, which gets a number of its own, in @msg as well; false: refused in
 * words. */
bool vgd_node_take_worker(struct vgd_node *node, struct vg_ipc_msg *msg);
/* Fills in what every bus has, and sends @msg with the image. */
void vgd_node_send_attach(struct vgd_node *node, struct vg_ipc_msg *msg);
void vgd_node_detach(struct vgd_node *node);
/* A key of the frontend's, a number. Negative errno. */
int vgd_node_read_front(struct vgd_node *node, const char *key, uint32_t *value);

/* ---- node_image.c ---- */

/* Opens and locks it. Negative errno with a sentence in @words; -EAGAIN: it is in use, and perhaps
 * not for ever. */
int vgd_node_open_image(struct vgd_node *node, char *words, size_t words_size);
void vgd_node_close_image(struct vgd_node *node);

/* ---- node_mmio.c: what is different with virtio-mmio ---- */

/* The image is open: a worker is to have the device, or go on with it. */
void vgd_mmio_attach(struct vgd_node *node);
void vgd_mmio_attached(struct vgd_node *node, const struct vg_ipc_result *result);
void vgd_mmio_bound(struct vgd_node *node, const struct vg_ipc_result *result);
/* The guest's driver has come, or gone. */
void vgd_mmio_driver(struct vgd_node *node, bool there);
/* The worker has gone: true when another one goes on, false when that is not to be. */
bool vgd_mmio_failed(struct vgd_node *node);
/* Phases in which a worker has the device. */
void vgd_mmio_run(struct vgd_node *node, const struct vgd_look *look);
/* The device has gone for good. */
void vgd_mmio_released(struct vgd_node *node);
/* Has an earlier vgrantd left the device for us? */
bool vgd_mmio_left(struct vgd_node *node);
/* Has it, or another worker before, left an IOREQ server? Then unplugging it has to wait for a
 * worker that answers what the guest waits for and lets go of the server. */
bool vgd_mmio_holds(struct vgd_node *node);
/* A worker gets the device, and the directory, in state 1, is still the one that it was for. */
bool vgd_mmio_begins(struct vgd_node *node);
/* It has, and is at it still: true, and said, when that is to be waited for, however long it takes.
 */
bool vgd_mmio_waits(struct vgd_node *node);

/* ---- node_config.c: our own directory ---- */

/* 0, or -EINVAL with a sentence in @words: what is wrong and how to mend it. */
int vgd_config_read(struct vgd_node *node, struct vgd_config *config, char *words,
		    size_t words_size);

/* What the two directories say now. */
struct vgd_look {
	uint32_t own; /* our state; 0: our directory has gone */
#define VGD_OWN_ODD 9 /* something that is no state */
	bool online;
	uint32_t front; /* the frontend's state; 0: unreadable, or none */
	bool gone;      /* the frontend was there and is not any more */
};
void vgd_node_look(struct vgd_node *node, struct vgd_look *look);

/* ---- node_store.c: what we write ---- */

/* Writes our state, unless the directory has gone. What is refused is owed: state_retry. */
void vgd_node_set_state(struct vgd_node *node, enum vg_xenbus_state state);
/* Publishes the versions and limits and state 2. Negative errno. */
int vgd_node_publish(struct vgd_node *node);
/* Writes vgrant-error; an empty @words removes it. */
void vgd_node_set_error(struct vgd_node *node, const char *words);
/* Writes vgrant-resume. Negative errno. */
int vgd_node_set_resume(struct vgd_node *node);
/* Removes what was for a later vgrantd: the IOREQ server may be gone, and its number another's. */
void vgd_node_forget(struct vgd_node *node);
/* Writes whether the guest's driver is there: vgrant-driver. */
void vgd_node_set_driver(struct vgd_node *node);
/* Removes the directory if its state is still 6, and its parent when that is then empty. 0 also
 * when there is nothing left to do; negative errno. */
int vgd_node_remove_dir(struct vgd_node *node);
/* Sets when to try again what has just been refused. */
void vgd_retry_later(struct vgd_node *node, struct vgd_retry *retry);
void vgd_retry_over(struct vgd_retry *retry);

/* ---- node_stats.c ---- */

/* Somebody may have written vgrant-stats-request. */
void vgd_node_stats_request(struct vgd_node *node);
void vgd_node_stats_reply(struct vgd_node *node, const struct vg_ipc_stats *stats);

/* ---- log lines about one device ---- */

/* Limited to a few lines a minute: for what a guest can cause as often as it likes. */
__attribute__((format(printf, 3, 4))) void
vgd_node_log(struct vgd_node *node, enum vg_log_level level, const char *fmt, ...);

#endif
