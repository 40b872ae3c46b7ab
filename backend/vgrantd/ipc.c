// SPDX-License-Identifier: MIT
#include "ipc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors that one record may bring: one. Room for more, so that more can be seen and closed.
 */
#define FDS_MAX 4

#define HEAD offsetof(struct vg_ipc_msg, u)

/* Bytes of a record of @type, or 0: there is no such type. */
static size_t record_size(uint32_t type)
{
	switch (type) {
	case VG_IPC_ATTACH:
		return HEAD + sizeof(struct vg_ipc_attach);
	case VG_IPC_DETACH:
	case VG_IPC_LEAVE:
	case VG_IPC_STATE:
	case VG_IPC_SHUTDOWN:
	case VG_IPC_DETACHED:
		return HEAD;
	case VG_IPC_PORT:
	case VG_IPC_DRIVER:
		return HEAD + sizeof(uint32_t);
	case VG_IPC_GET_STATS:
		return HEAD + sizeof(uint64_t);
	case VG_IPC_ATTACHED:
	case VG_IPC_FAILED:
	case VG_IPC_BOUND:
		return HEAD + sizeof(struct vg_ipc_result);
	case VG_IPC_STATS:
		return HEAD + sizeof(struct vg_ipc_stats);
	default:
		return 0;
	}
}

int vg_ipc_send(int sock, const struct vg_ipc_msg *msg, int fd)
{
	/* sendmsg() does not write through iov_base; its type cannot say so. */
	union {
		const void *in;
		void *out;
	} base = {.in = msg};
	struct iovec iov = {.iov_base = base.out, .iov_len = record_size(msg->type)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (!iov.iov_len)
		return -EINVAL;
	if (fd >= 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.buf;
		hdr.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	do {
		n = sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static bool terminated(const char *s, size_t size)
{
	return memchr(s, '\0', size);
}

/* The names go into xenstore and onto terminals. */
static bool stat_name_ok(const char *name)
{
	size_t len = strnlen(name, VG_IPC_NAME_MAX);

	return len && len < VG_IPC_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool bus_ok(const struct vg_ipc_attach *attach)
{
	return attach->bus == VG_IPC_BUS_MSG ||
	       (attach->bus == VG_IPC_BUS_MMIO && attach->base &&
		(attach->irq_kind == VG_IPC_IRQ_EVTCHN || attach->irq_kind == VG_IPC_IRQ_SPI ||
		 attach->irq_kind == VG_IPC_IRQ_ISA));
}

static bool attach_ok(const struct vg_ipc_msg *msg, bool has_fd)
{
	const struct vg_ipc_attach *attach = &msg->u.attach;

	return msg->device && attach->kind == VG_IPC_KIND_BLK && bus_ok(attach) &&
	       has_fd == (attach->engine == VG_IPC_ENGINE_FILE) &&
	       (attach->engine == VG_IPC_ENGINE_FILE || attach->engine == VG_IPC_ENGINE_NULL) &&
	       terminated(attach->label, sizeof(attach->label)) &&
	       terminated(attach->serial, sizeof(attach->serial));
}

static bool stats_ok(const struct vg_ipc_stats *stats)
{
	if (stats->count > VG_IPC_STATS_MAX || stats->error > 1)
		return false;
	for (uint32_t i = 0; i < stats->count; i++) {
		if (!stat_name_ok(stats->stat[i].name))
			return false;
	}
	return true;
}

static bool record_ok(const struct vg_ipc_msg *msg, size_t size, bool has_fd)
{
	if (size < HEAD || size != record_size(msg->type))
		return false;
	if (msg->type == VG_IPC_ATTACH)
		return attach_ok(msg, has_fd);
	if (has_fd != (msg->type == VG_IPC_STATE))
		return false;
	switch (msg->type) {
	case VG_IPC_ATTACHED:
	case VG_IPC_FAILED:
	case VG_IPC_BOUND:
		return msg->device && msg->u.result.error <= 0 &&
		       terminated(msg->u.result.words, sizeof(msg->u.result.words));
	case VG_IPC_STATS:
		return msg->device && stats_ok(&msg->u.stats);
	case VG_IPC_DRIVER:
		return msg->device && msg->u.driver <= 1;
	case VG_IPC_SHUTDOWN:
		return !msg->device;
	default:
		return msg->device;
	}
}

/* Collects the descriptors that came with @hdr; returns how many. */
static unsigned int take_fds(struct msghdr *hdr, int fds[FDS_MAX])
{
	unsigned int count = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		const unsigned char *data = CMSG_DATA(cmsg);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0;
		     at + sizeof(int) <= cmsg->cmsg_len - CMSG_LEN(0) && count < FDS_MAX;
		     at += sizeof(int))
			memcpy(&fds[count++], data + at, sizeof(int));
	}
	return count;
}

int vg_ipc_recv(int sock, struct vg_ipc_msg *msg, int *fd)
{
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int fds[FDS_MAX];
	unsigned int count;
	ssize_t n;

	*fd = -1;
	memset(msg, 0, sizeof(*msg));
	do {
		n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	count = take_fds(&hdr, fds);
	if (!(hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && count <= 1 &&
	    record_ok(msg, (size_t)n, count == 1)) {
		if (count)
			*fd = fds[0];
		return 0;
	}
	while (count)
		close(fds[--count]);
	/* A record of no bytes cannot be told from the end of file, and nobody sends one. */
	return n ? -EBADMSG : -EPIPE;
}

void vg_ipc_stats_init(struct vg_ipc_msg *msg, uint32_t device, uint64_t cookie)
{
	memset(msg, 0, sizeof(*msg));
	msg->type = VG_IPC_STATS;
	msg->device = device;
	msg->u.stats.cookie = cookie;
}

void vg_ipc_stats_add(struct vg_ipc_msg *msg, const char *name, uint64_t value)
{
	struct vg_ipc_stats *stats = &msg->u.stats;
	struct vg_ipc_stat *stat;
	size_t len = strnlen(name, VG_IPC_NAME_MAX - 1);

	if (stats->count >= VG_IPC_STATS_MAX)
		return;
	stat = &stats->stat[stats->count++];
	memcpy(stat->name, name, len);
	stat->name[len] = '\0';
	stat->value = value;
}

void vg_ipc_result_init(struct vg_ipc_msg *msg, enum vg_ipc_type type, uint32_t device, int error,
			const char *fmt, ...)
{
	va_list ap;

	memset(msg, 0, sizeof(*msg));
	msg->type = type;
	msg->device = device;
	msg->u.result.error = error;
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(msg->u.result.words, sizeof(msg->u.result.words), fmt, ap);
	va_end(ap);
}
