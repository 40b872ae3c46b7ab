/* SPDX-License-Identifier: MIT */
/*
 * Hostile guests: one function a case. A case gets a rig, which is a device in good order, does
 * what no driver does, and returns what came of it.
 */
#ifndef VGGUEST_HOSTILE_H
#define VGGUEST_HOSTILE_H

#include "cli.h"

/* What the backend made of it: bits, since a case may allow several. */
enum outcome {
	HARMLESS = 1,    /* discarded or answered with a refusal; the device works on */
	REFUSED = 2,     /* the request was completed with an error, or without a status */
	NEEDS_RESET = 4, /* DEVICE_NEEDS_RESET is set */
	ENDED = 8,       /* the backend has closed the connection */
	WRONG = 16,      /* accepted, or something changed that may not: the case failed */
	UNDECIDED = 32,  /* nothing happened within the time-out */
};

struct rig {
	struct vgg *g;
	struct vgg_queue q;
	struct vgg_pages rw, ro; /* declared; ro read-only */
	struct vgg_pages loose;  /* granted, not declared */
	uint16_t next_avail;
	char note[256]; /* for WRONG: what */
};

/* Layout of rw: where a well-formed request lies. */
#define RIG_HEADER 0u
#define RIG_STATUS 64u
#define RIG_TABLE  512u
#define RIG_DATA   4096u
#define RIG_PAGES  4u
#define RIG_QUEUE  64u

struct hostile_case {
	const char *name;
	enum outcome (*run)(struct rig *rig);
	unsigned int allowed; /* outcomes */
	const char *what;
};

extern const struct hostile_case hostile_ring_cases[];
extern const struct hostile_case hostile_msg_cases[];
extern const struct hostile_case hostile_offer_cases[]; /* rig->g only, backend in InitWait */

/* Notes why and gives WRONG. */
enum outcome rig_wrong(struct rig *rig, const char *why);
/* A descriptor written as given. */
void rig_desc(struct rig *rig, uint16_t index, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next);
/* An ordinary read of sector 0: header in 0, data in 1, status in 2. */
void rig_read_chain(struct rig *rig);
/* Puts @head into the available ring, publishes it, kicks, and sees what comes of it. */
enum outcome rig_offer(struct rig *rig, uint16_t head);
/* Publishes @idx as the available index, whatever it is, kicks, and sees what comes of it. */
enum outcome rig_publish(struct rig *rig, uint16_t idx);
/* What came of it, when nothing may have: asks the device for its status. */
enum outcome rig_settled(struct rig *rig);
/* What came of it, when nothing more may be written into the control page. */
enum outcome rig_ended(struct rig *rig);
/* Sends bytes as a message and sees whether the connection and the device go on. */
enum outcome rig_send(struct rig *rig, const void *bytes, size_t len);

#endif
