/* SPDX-License-Identifier: MIT */
/*
 * What the fake libraries say to the hub: one SOCK_SEQPACKET connection for each open
 * handle, a request and its reply in one message each. File descriptors ride on the reply.
 * The hub takes the end of the connection as the end of the handle.
 */
#ifndef SIM_PROTO_H
#define SIM_PROTO_H

#include <stdint.h>

#define SIM_ENV       "XENSIM"       /* the domain's directory */
#define SIM_ENV_FAULT "XENSIM_FAULT" /* rules, see README.md */
#define SIM_ENV_REFS  "XENSIM_REFS"  /* "consecutive" or "scatter" */
#define SIM_MSG_WORDS 16384u         /* most 32-bit words after a header */
#define SIM_MSG_FDS   3u

enum sim_handle_type { SIM_HANDLE_GNTTAB, SIM_HANDLE_GNTSHR, SIM_HANDLE_EVTCHN, SIM_HANDLE_PRIV };

enum sim_op {
	SIM_OP_HELLO,       /* arg0 type; fds: arena, for evtchn also its pipe's two ends */
	SIM_OP_ADOPT,       /* evtchn: arg0,1 inode of an inherited pipe; fds like HELLO */
	SIM_OP_RAM,         /* arg0 domid -> arg0 index, arg1 uid; fd */
	SIM_OP_SHARE,       /* arg0 domid, arg1 count, arg2 SIM_SHARE_* -> words: refs */
	SIM_OP_UNSHARE,     /* words: refs */
	SIM_OP_NOTIFY_SET,  /* arg0 on a ref (1) or a slot (0), arg1 ref or slot, arg2 offset, arg3
			       port */
	SIM_OP_NOTIFY_FIRE, /* arg0, arg1 as above */
	SIM_OP_DEFER,       /* arg0 ms; words: slots */
	SIM_OP_EV_UNBOUND,  /* arg0 domid -> arg0 port */
	SIM_OP_EV_INTERDOMAIN, /* arg0 domid, arg1 port -> arg0 port */
	SIM_OP_EV_UNBIND,      /* arg0 port */
	SIM_OP_EV_RESTRICT,    /* arg0 domid */
	SIM_OP_EV_PEER,        /* arg0 handle -> arg0 uid; fd: write end of its pipe */
	/* device models, for privileged domains: arg0 domid, arg1 server */
	SIM_OP_DM_CREATE, /* -> arg0 server */
	SIM_OP_DM_DESTROY,
	SIM_OP_DM_ENABLE,
	SIM_OP_DM_RANGE_ADD, /* arg2,3 start, arg4 size */
	SIM_OP_DM_RANGE_REMOVE,
	SIM_OP_DM_PAGE,  /* -> fd */
	SIM_OP_DM_VCPUS, /* -> arg0 */
	SIM_OP_DM_IRQ,   /* arg1 line, arg2 level, arg3 of the ISA bus */
	/* a guest's own: */
	SIM_OP_ACCESS, /* words: see hub/ioreq.c -> arg0 server; fd of its page */
	SIM_OP_IRQ,    /* arg0 line -> fd: an eventfd, readable after an edge */
	SIM_OP_CLOSE,
};

#define SIM_ACCESS_WORDS 10u
#define SIM_ACCESS_PTR   1u
#define SIM_ACCESS_DF    2u
#define SIM_IOREQ_STATE  30 /* byte of a slot with its state in the low half */

#define SIM_SHARE_READONLY  1u
#define SIM_SHARE_SCATTER   2u
#define SIM_SHARE_NO_ACCESS 4u
#define SIM_SHARE_REFS_ONLY 8u

struct sim_msg {
	int32_t op; /* request: enum sim_op; reply: 0 or a negative errno */
	uint32_t n; /* words that follow */
	uint32_t arg[6];
	/* a HELLO's reply: handle, domain index, domid, privileged */
};

#define SIM_NO_OFFSET 0xffffffffu
#define SIM_NO_PORT   0xffffffffu

#endif
