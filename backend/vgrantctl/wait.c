// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "ctl.h"

#define TOKEN "vgrantctl"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Takes what events there are: that there was a change is all that they say. */
static int drain(struct vg_store *store)
{
	char path[VG_STORE_PATH_MAX], token[sizeof(TOKEN)];
	int rc;

	do {
		rc = vg_store_next_event(store, path, sizeof(path), token, sizeof(token));
	} while (!rc || rc == -ENAMETOOLONG);
	return rc == -EAGAIN ? 0 : rc;
}

int wait_for(struct ctl *ctl, const char *dir, unsigned int timeout_s,
	     bool (*done)(struct ctl *ctl, void *opaque), void *opaque)
{
	uint64_t end = now_ms() + (uint64_t)timeout_s * 1000;
	struct pollfd fd = {.fd = vg_store_fd(ctl->store), .events = POLLIN};
	int rc = vg_store_watch(ctl->store, dir, TOKEN);

	while (!rc) {
		uint64_t now = now_ms();

		rc = drain(ctl->store);
		if (rc || done(ctl, opaque))
			break;
		if (now >= end) {
			rc = -ETIMEDOUT;
			break;
		}
		/* Also looks now and then: a node whose permissions changed tells nothing. */
		if (poll(&fd, 1, end - now < 500 ? (int)(end - now) : 500) < 0 && errno != EINTR)
			rc = -errno;
	}
	vg_store_unwatch(ctl->store, dir, TOKEN);
	return rc;
}
