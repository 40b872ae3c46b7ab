/* SPDX-License-Identifier: MIT */
/*
 * What supervisor and worker say to each other, over one SOCK_SEQPACKET socket a worker. Records
 * have a fixed size for each type; a file descriptor travels with VG_IPC_ATTACH and VG_IPC_STATE,
 * and with nothing else. Both ends are of one build, so nothing is marshalled. The receiver checks
 * every record all the same: a worker has a guest's bytes in its hands and may have been taken
 * over.
 *
 * A device's life, seen by the supervisor:
 *
 *   ATTACH ->      <- ATTACHED, error 0          serving
 *                  <- ATTACHED, error, words     it came to nothing; the id is forgotten
 *   DETACH ->      <- DETACHED                   drained, unmapped, unbound, image closed
 *                  <- FAILED, words              the same, but of the worker's own accord
 *
 *
 * With virtio-mmio besides:
 *
 *   STATE ->                                     before ATTACH: where its registers are kept
 *   LEAVE ->       <- DETACHED                   as DETACH, but for a later worker to go on
 *   PORT ->        <- BOUND, error, words        the event channel of its interrupt; 0: none
 *                  <- DRIVER                     the guest's driver has set DRIVER_OK, or reset
 *
 * DETACH and FAILED may cross: a worker that gets DETACH for an id that it does not know answers
 * DETACHED; a supervisor ignores a DETACHED for an id that it has forgotten. SHUTDOWN lets go of
 * all devices (a DETACHED for each) and ends the worker with exit status 0; so does end of file on
 * the socket, without answers. Only the supervisor ends a worker: one without devices waits.
 */
#ifndef VGRANTD_IPC_H
#define VGRANTD_IPC_H

#include <stdint.h>

#define VG_IPC_LABEL_MAX  32 /* bytes of each string, with the final NUL */
#define VG_IPC_SERIAL_MAX 21 /* VIRTIO_BLK_ID_BYTES and a NUL */
#define VG_IPC_WORDS_MAX  256
#define VG_IPC_NAME_MAX   24
#define VG_IPC_STATS_MAX  42 /* so many fit into a node of xenstore: node_stats.c */

enum vg_ipc_type {
	/* supervisor to worker */
	VG_IPC_ATTACH = 1,
	VG_IPC_DETACH,
	VG_IPC_GET_STATS,
	VG_IPC_SHUTDOWN,
	VG_IPC_STATE,
	VG_IPC_LEAVE,
	VG_IPC_PORT,
	/* worker to supervisor */
	VG_IPC_ATTACHED,
	VG_IPC_DETACHED,
	VG_IPC_FAILED,
	VG_IPC_STATS,
	VG_IPC_BOUND,
	VG_IPC_DRIVER,
};

enum vg_ipc_kind {
	VG_IPC_KIND_BLK = 1,
};

enum vg_ipc_engine {
	VG_IPC_ENGINE_FILE = 1, /* the image comes as a file descriptor */
	VG_IPC_ENGINE_NULL,     /* no descriptor; null_size bytes of nothing */
};

enum vg_ipc_bus {
	VG_IPC_BUS_MSG = 1, /* virtio-msg over Xen */
	VG_IPC_BUS_MMIO,    /* virtio-mmio over IOREQ */
};

/* How a driver of virtio-mmio is interrupted. */
enum vg_ipc_irq {
	VG_IPC_IRQ_EVTCHN = 1, /* by an event channel: VG_IPC_PORT */
	VG_IPC_IRQ_SPI,        /* Arm */
	VG_IPC_IRQ_ISA,        /* x86 HVM */
};

struct vg_ipc_attach {
	uint32_t kind;   /* enum vg_ipc_kind */
	uint32_t bus;    /* enum vg_ipc_bus */
	uint32_t engine; /* enum vg_ipc_engine */
	/* virtio-msg */
	uint32_t control_ref;
	uint32_t remote_port;
	/* virtio-mmio */
	uint32_t irq_kind; /* enum vg_ipc_irq */
	uint32_t irq;
	uint32_t ioreq; /* IOREQ server of an earlier worker, or VG_IOREQ_NONE */
	uint64_t base;  /* guest-physical address of the registers */

	uint32_t queues; /* 1 to VG_DEVICE_MAX_QUEUES */
	uint32_t read_only;
	uint64_t null_size;             /* bytes, for VG_IPC_ENGINE_NULL */
	char label[VG_IPC_LABEL_MAX];   /* for log lines: "dom3 xvda" */
	char serial[VG_IPC_SERIAL_MAX]; /* what VIRTIO_BLK_T_GET_ID answers */
	char pad[3];
};

/* VG_IPC_ATTACHED, VG_IPC_FAILED and VG_IPC_BOUND. */
struct vg_ipc_result {
	int32_t error;  /* 0, or negative errno */
	uint32_t ioreq; /* VG_IPC_ATTACHED with virtio-mmio: the IOREQ server */
	/* One line for people, for the log and the node vgrant-error; empty when error is 0. */
	char words[VG_IPC_WORDS_MAX];
};

struct vg_ipc_stat {
	char name[VG_IPC_NAME_MAX]; /* lower case letters, digits and '-' */
	uint64_t value;
};

/* Figures of the device (view, connection, block) and, with names in "worker-…", of its worker. */
struct vg_ipc_stats {
	uint64_t cookie; /* of the VG_IPC_GET_STATS that this answers */
	uint32_t count;  /* of stat[] */
	uint32_t error;  /* 1: the worker knows no such device, and count is 0 */
	struct vg_ipc_stat stat[VG_IPC_STATS_MAX];
};

struct vg_ipc_msg {
	uint32_t type;   /* enum vg_ipc_type */
	uint32_t device; /* chosen by the supervisor, never 0, never used twice; 0: SHUTDOWN */
	union {
		struct vg_ipc_attach attach;
		struct vg_ipc_result result;
		struct vg_ipc_stats stats; /* VG_IPC_GET_STATS sends no more than the cookie */
		uint64_t cookie;
		uint32_t port;   /* VG_IPC_PORT: the guest's */
		uint32_t driver; /* VG_IPC_DRIVER: 1 or 0 */
	} u;
};

/*
 * Sends @msg, with @fd when it is not -1 (which remains the caller's). Never blocks, never raises
 * SIGPIPE. -EAGAIN: the peer does not read; -EPIPE: it has gone; -EINVAL: no such type.
 */
int vg_ipc_send(int sock, const struct vg_ipc_msg *msg, int fd);

/*
 * Receives one record without blocking; strings in it are terminated, counts are in range. *fd is
 * -1 or the caller's, to be closed. -EAGAIN: nothing there; -EPIPE: the peer has gone; -EBADMSG: a
 * record that no healthy peer sends, dropped with its descriptors.
 */
int vg_ipc_recv(int sock, struct vg_ipc_msg *msg, int *fd);

/* Makes @msg an answer to @cookie without figures; vg_ipc_stats_add() then adds them, and drops
 * what is past VG_IPC_STATS_MAX. */
void vg_ipc_stats_init(struct vg_ipc_msg *msg, uint32_t device, uint64_t cookie);
void vg_ipc_stats_add(struct vg_ipc_msg *msg, const char *name, uint64_t value);

/* Makes @msg a VG_IPC_ATTACHED or VG_IPC_FAILED. @fmt may be NULL: no words. */
__attribute__((format(printf, 5, 6))) void vg_ipc_result_init(struct vg_ipc_msg *msg,
							      enum vg_ipc_type type,
							      uint32_t device, int error,
							      const char *fmt, ...);

#endif
