// SPDX-License-Identifier: MIT
/* The simulated xenstored through the real libxenstore, and through a raw socket. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

#include <xen/io/xs_wire.h>

#define BACK  "/local/domain/1/backend/virtio/2/0"
#define FRONT "/local/domain/2/device/virtio/0"

static struct xs_handle *x0, *x1, *x2;

static void perms(const char *path, unsigned int owner, unsigned int reader)
{
	struct xs_permissions p[2] = {{.id = owner, .perms = XS_PERM_NONE},
				      {.id = reader, .perms = XS_PERM_READ}};

	ck_assert(xs_set_permissions(x0, XBT_NULL, path, p, 2));
}

static bool put(struct xs_handle *x, const char *path, const char *value)
{
	errno = 0;
	return xs_write(x, XBT_NULL, path, value, (unsigned int)strlen(value));
}

static bool has(struct xs_handle *x, xs_transaction_t t, const char *path, const char *value)
{
	unsigned int len;
	char *got = xs_read(x, t, path, &len);
	bool same = got && !strcmp(got, value) && len == strlen(value);

	free(got);
	return same;
}

static int why_unreadable(struct xs_handle *x, const char *path)
{
	unsigned int len;
	char *got;

	errno = 0;
	got = xs_read(x, XBT_NULL, path, &len);
	free(got);
	return got ? 0 : errno;
}

/* What a toolstack does for a device. */
static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest", "3,name=other", NULL};

	sim_start(domains);
	x0 = sim_xs(0);
	x1 = sim_xs(1);
	x2 = sim_xs(2);
	ck_assert(xs_mkdir(x0, XBT_NULL, BACK));
	perms(BACK, 1, 2);
	ck_assert(xs_mkdir(x0, XBT_NULL, FRONT));
	perms(FRONT, 2, 1);
}

static void teardown(void)
{
	xs_close(x0);
	xs_close(x1);
	xs_close(x2);
	sim_wait_value(1, "watches", 0);
	ck_assert_int_eq(sim_value("dump", 1, "transactions"), 0);
	sim_stop();
}

static bool event(struct xs_handle *x, const char *path, const char *token)
{
	char **v;
	bool same;

	if (!sim_readable(xs_fileno(x), WAIT_MS))
		return false;
	v = xs_check_watch(x);
	if (!v)
		return false;
	same = !strcmp(v[XS_WATCH_PATH], path) && !strcmp(v[XS_WATCH_TOKEN], token);
	if (!same)
		fprintf(stderr, "event on %s, not %s\n", v[XS_WATCH_PATH], path);
	free(v);
	return same;
}

static bool quiet(struct xs_handle *x)
{
	return !sim_readable(xs_fileno(x), 50);
}

START_TEST(who_may_write_and_read)
{
	struct xs_handle *x3 = sim_xs(3);

	ck_assert(put(x1, BACK "/state", "2"));
	ck_assert(has(x2, XBT_NULL, BACK "/state", "2"));
	ck_assert(!put(x2, BACK "/state", "3"));
	ck_assert_int_eq(errno, EACCES);
	ck_assert(put(x2, "device/virtio/0/state", "3")); /* relative */
	ck_assert(has(x1, XBT_NULL, FRONT "/state", "3"));
	ck_assert(!put(x1, FRONT "/state", "4"));
	ck_assert_int_eq(why_unreadable(x3, FRONT "/state"), EACCES);
	ck_assert_int_eq(why_unreadable(x3, FRONT "/nothing"), EACCES);
	ck_assert_int_eq(why_unreadable(x1, FRONT "/nothing"), ENOENT);
	ck_assert_int_eq(why_unreadable(x0, FRONT "/nothing"), ENOENT);
	ck_assert(!put(x2, "device/new", "1")); /* libxl keeps `device` to itself */
	ck_assert_int_eq(errno, EACCES);
	ck_assert(!put(x2, "backend/new", "1"));
	ck_assert(put(x2, "data/new", "1"));
	ck_assert(has(x2, XBT_NULL, "domid", "2"));
	ck_assert(has(x0, XBT_NULL, "domid", "0")); /* xenstored's socket is domain 0's */
	ck_assert(has(x2, XBT_NULL, "name", "guest"));
	ck_assert_int_eq(why_unreadable(x2, "/local/domain"), EACCES);
	ck_assert_int_eq(why_unreadable(x2, "bad//path"), EINVAL);
	ck_assert_int_eq(why_unreadable(x2, "bad path"), EINVAL);
	xs_close(x3);
}
END_TEST

START_TEST(permissions_and_ownership)
{
	struct xs_permissions p = {.id = 1, .perms = XS_PERM_NONE};
	struct xs_permissions *got;
	unsigned int n;

	got = xs_get_permissions(x2, XBT_NULL, FRONT, &n);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(got[0].id, 2);
	ck_assert_uint_eq(got[1].id, 1);
	ck_assert_uint_eq(got[1].perms, XS_PERM_READ);
	free(got);
	errno = 0;
	ck_assert(!xs_set_permissions(x2, XBT_NULL, FRONT, &p, 1)); /* not to be given away */
	ck_assert_int_eq(errno, EPERM);
	ck_assert(!xs_set_permissions(x1, XBT_NULL, FRONT, &p, 1));
	ck_assert_int_eq(errno, EACCES);
	p.id = 2;
	ck_assert(xs_set_permissions(x2, XBT_NULL, FRONT, &p, 1));
	ck_assert_int_eq(why_unreadable(x1, FRONT), EACCES);
	/* a new node is its maker's and else inherits */
	perms(FRONT, 2, 1);
	ck_assert(put(x2, FRONT "/a/b", "c"));
	got = xs_get_permissions(x0, XBT_NULL, FRONT "/a/b", &n);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got[0].id, 2);
	ck_assert_uint_eq(got[1].id, 1);
	free(got);
}
END_TEST

START_TEST(watches)
{
	ck_assert(xs_watch(x1, FRONT, "token"));
	ck_assert(event(x1, FRONT, "token")); /* once by itself */
	ck_assert(put(x2, FRONT "/state", "1"));
	ck_assert(event(x1, FRONT "/state", "token"));
	ck_assert(put(x2, "data/x", "1"));
	ck_assert(quiet(x1));
	ck_assert(xs_watch(x2, "data", "mine"));
	ck_assert(event(x2, "data", "mine"));
	ck_assert(put(x0, "/local/domain/2/data/y", "1"));
	ck_assert(event(x2, "data/y", "mine")); /* relative, as it was asked for */
	errno = 0;
	ck_assert(!xs_watch(x1, FRONT, "token"));
	ck_assert_int_eq(errno, EEXIST);
	ck_assert(xs_unwatch(x1, FRONT, "token"));
	ck_assert(put(x2, FRONT "/state", "2"));
	ck_assert(quiet(x1));
	/* what cannot be read is not told of */
	ck_assert(xs_watch(x1, "/local/domain/2/data", "spy"));
	ck_assert(event(x1, "/local/domain/2/data", "spy"));
	ck_assert(put(x2, "data/secret", "1"));
	ck_assert(quiet(x1));
	for (unsigned int i = 1; i < 128; i++) {
		char token[8];

		snprintf(token, sizeof(token), "%u", i);
		ck_assert(xs_watch(x1, FRONT, token));
	}
	errno = 0;
	ck_assert(!xs_watch(x1, FRONT, "one too many"));
	ck_assert_int_eq(errno, E2BIG);
	ck_assert_int_eq(sim_value("dump", 1, "watches"), 128);
}
END_TEST

START_TEST(destruction_is_seen)
{
	struct xs_permissions p[2] = {{.id = 0, .perms = XS_PERM_NONE},
				      {.id = 1, .perms = XS_PERM_READ}};

	ck_assert(xs_watch(x1, "@releaseDomain", "r"));
	ck_assert(event(x1, "@releaseDomain", "r"));
	ck_assert(xs_watch(x0, "@introduceDomain", "i"));
	ck_assert(event(x0, "@introduceDomain", "i"));
	ck_assert_str_eq(sim_ctl("create name=next"), "4\n");
	ck_assert(event(x0, "@introduceDomain", "i"));
	ck_assert_ptr_nonnull(sim_ctl("destroy 4"));
	ck_assert(quiet(x1)); /* not permitted yet */
	ck_assert(!xs_set_permissions(x1, XBT_NULL, "@releaseDomain", p, 2));
	ck_assert(xs_set_permissions(x0, XBT_NULL, "@releaseDomain", p, 2));
	ck_assert(put(x2, FRONT "/state", "4"));
	ck_assert(xs_watch(x1, FRONT "/state", "s"));
	ck_assert(event(x1, FRONT "/state", "s"));
	ck_assert_ptr_nonnull(sim_ctl("destroy 2"));
	ck_assert(event(x1, FRONT "/state", "s"));
	ck_assert(event(x1, "@releaseDomain", "r"));
	ck_assert_int_eq(why_unreadable(x1, FRONT "/state"), EACCES);
	ck_assert(has(x1, XBT_NULL, BACK, "")); /* the backend's directory stays behind */
	ck_assert(!put(x2, "data/x", "1"));     /* its connection is cut */
}
END_TEST

START_TEST(transactions)
{
	xs_transaction_t a = xs_transaction_start(x1), b;

	ck_assert_uint_ne(a, XBT_NULL);
	ck_assert(xs_write(x1, a, BACK "/x/y", "1", 1));
	ck_assert(has(x1, a, BACK "/x/y", "1"));
	ck_assert_int_eq(why_unreadable(x1, BACK "/x/y"), ENOENT); /* not yet for the others */
	ck_assert(xs_watch(x2, BACK, "w"));
	ck_assert(event(x2, BACK, "w"));
	ck_assert(xs_transaction_end(x1, a, false));
	ck_assert(event(x2, BACK "/x/y", "w"));
	ck_assert(quiet(x2));
	ck_assert(has(x2, XBT_NULL, BACK "/x/y", "1"));
	/* what one has read the other changes: again */
	a = xs_transaction_start(x1);
	ck_assert(has(x1, a, BACK "/x/y", "1"));
	ck_assert(xs_write(x1, a, BACK "/z", "1", 1));
	b = xs_transaction_start(x0);
	ck_assert(xs_write(x0, b, BACK "/x/y", "2", 1));
	ck_assert(xs_transaction_end(x0, b, false));
	errno = 0;
	ck_assert(!xs_transaction_end(x1, a, false));
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(why_unreadable(x1, BACK "/z"), ENOENT);
	/* others' changes elsewhere do not matter; abandoning leaves nothing */
	a = xs_transaction_start(x1);
	ck_assert(xs_rm(x1, a, BACK "/x"));
	ck_assert(put(x2, FRONT "/unrelated", "1"));
	ck_assert(xs_transaction_end(x1, a, false));
	ck_assert_int_eq(why_unreadable(x1, BACK "/x/y"), ENOENT);
	a = xs_transaction_start(x1);
	ck_assert(xs_write(x1, a, BACK "/gone", "1", 1));
	ck_assert(xs_transaction_end(x1, a, true));
	ck_assert_int_eq(why_unreadable(x1, BACK "/gone"), ENOENT);
	/* removed and made again in one */
	ck_assert(put(x1, BACK "/dir/old", "1"));
	a = xs_transaction_start(x1);
	ck_assert(xs_rm(x1, a, BACK "/dir"));
	ck_assert(xs_write(x1, a, BACK "/dir/new", "2", 1));
	ck_assert(xs_transaction_end(x1, a, false));
	ck_assert_int_eq(why_unreadable(x1, BACK "/dir/old"), ENOENT);
	ck_assert(has(x1, XBT_NULL, BACK "/dir/new", "2"));
	for (unsigned int i = 0; i < 10; i++)
		ck_assert_uint_ne(xs_transaction_start(x1), XBT_NULL);
	ck_assert_uint_eq(xs_transaction_start(x1), XBT_NULL);
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(directories_and_removal)
{
	unsigned int n;
	char path[96], **list;

	/* more names than one message holds */
	for (unsigned int i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/data/%04u-a-rather-long-name", i);
		ck_assert(put(x0, path, ""));
	}
	list = xs_directory(x0, XBT_NULL, "/data", &n);
	ck_assert_ptr_nonnull(list);
	ck_assert_uint_eq(n, 600);
	ck_assert_str_eq(list[0], "0000-a-rather-long-name");
	ck_assert_str_eq(list[599], "0599-a-rather-long-name");
	free(list);
	ck_assert(xs_rm(x0, XBT_NULL, "/data"));
	ck_assert_ptr_null(xs_directory(x0, XBT_NULL, "/data", &n));
	ck_assert(xs_rm(x0, XBT_NULL, "/data")); /* not there: fine, if its parent is */
	ck_assert(!xs_rm(x0, XBT_NULL, "/no/such"));
	ck_assert(!xs_rm(x0, XBT_NULL, "/"));
	list = xs_directory(x1, XBT_NULL, BACK, &n);
	ck_assert_ptr_nonnull(list);
	ck_assert_uint_eq(n, 0);
	free(list);
}
END_TEST

START_TEST(quotas)
{
	static char big[4000];
	char path[64];
	unsigned int i;
	char *got;

	memset(big, 'x', sizeof(big));
	errno = 0;
	ck_assert(!xs_write(x2, XBT_NULL, "data/big", big, 3000));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(xs_write(x2, XBT_NULL, "data/big", big, 2000));
	for (i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "data/%u", i);
		if (!put(x2, path, ""))
			break;
	}
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(sim_value("dump", 2, "nodes"), 1000);
	ck_assert(xs_rm(x2, XBT_NULL, "data/0"));
	ck_assert(put(x2, "data/again", ""));
	got = xs_get_domain_path(x2, 7);
	ck_assert_str_eq(got, "/local/domain/7");
	free(got);
	ck_assert(xs_is_domain_introduced(x0, 1));
	ck_assert(!xs_is_domain_introduced(x0, 77));
	ck_assert(!xs_introduce_domain(x0, 9, 1, 1));
}
END_TEST

static int raw_connect(unsigned int domid)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/dom%u/xenstored", sim_dir(), domid);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static bool cut_off(int fd)
{
	char c;

	return sim_readable(fd, WAIT_MS) && recv(fd, &c, 1, 0) <= 0;
}

static void raw_send(int fd, uint32_t type, uint32_t len, const void *body, size_t n)
{
	struct xsd_sockmsg m = {.type = type, .len = len};

	send(fd, &m, sizeof(m), MSG_NOSIGNAL);
	if (n)
		send(fd, body, n, MSG_NOSIGNAL);
}

START_TEST(hostile_clients)
{
	struct xsd_sockmsg m;
	char error[64];
	int fd = raw_connect(2), slow = raw_connect(2);

	/* too long a message ends the connection, as on Xen */
	raw_send(fd, XS_READ, 5000, NULL, 0);
	ck_assert(cut_off(fd));
	close(fd);
	/* half a message, then nothing more */
	raw_send(slow, XS_READ, 100, "half", 4);
	/* every type with a body that is not terminated, empty, or of zeroes only */
	fd = raw_connect(2);
	for (uint32_t type = 0; type < 64; type++) {
		for (uint32_t len = 0; len < 3; len++) {
			raw_send(fd, type, len, "\0\0", len);
			ck_assert(sim_readable(fd, WAIT_MS));
			do {
				ck_assert_int_eq(recv(fd, &m, sizeof(m), MSG_WAITALL), sizeof(m));
				ck_assert_uint_lt(m.len, sizeof(error));
				ck_assert_int_eq(recv(fd, error, m.len, MSG_WAITALL), m.len);
			} while (m.type == XS_WATCH_EVENT);
		}
	}
	/* a client that asks and never reads: the store goes on without it */
	for (unsigned int i = 0; i < 4096; i++) {
		struct xsd_sockmsg q = {.type = XS_GET_DOMAIN_PATH, .len = 2};
		char msg[sizeof(q) + 2];

		memcpy(msg, &q, sizeof(q));
		memcpy(msg + sizeof(q), "1", 2);
		if (send(fd, msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	}
	ck_assert(put(x1, BACK "/state", "1"));
	ck_assert(has(x2, XBT_NULL, BACK "/state", "1"));
	close(fd);
	close(slow);
}
END_TEST

START_TEST(a_watcher_that_never_reads_is_cut_off)
{
	int fd = raw_connect(2);
	char token[1024];

	memset(token, 't', sizeof(token));
	memcpy(token, "data", 5);
	token[sizeof(token) - 1] = '\0';
	raw_send(fd, XS_WATCH, sizeof(token), token, sizeof(token));
	for (unsigned int i = 0; i < 4000; i++)
		ck_assert(put(x2, "data/x", "1"));
	sim_wait_value(2, "watches", 0);
	close(fd);
}
END_TEST

START_TEST(faults_of_the_store)
{
	ck_assert_ptr_nonnull(sim_ctl("fault 1 store.write:errno=EIO:count=1"));
	ck_assert(!put(x1, BACK "/state", "1"));
	ck_assert_int_eq(errno, EIO);
	ck_assert(put(x1, BACK "/state", "1"));
	ck_assert_ptr_nonnull(sim_ctl("fault 2 store.read:errno=EACCES"));
	ck_assert_int_eq(why_unreadable(x2, BACK "/state"), EACCES);
	ck_assert_int_eq(why_unreadable(x1, BACK "/state"), 0);
	ck_assert_ptr_nonnull(sim_ctl("fault 2 clear"));
	ck_assert_int_eq(why_unreadable(x2, BACK "/state"), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, who_may_write_and_read);
	tcase_add_test(t, permissions_and_ownership);
	tcase_add_test(t, watches);
	tcase_add_test(t, destruction_is_seen);
	tcase_add_test(t, transactions);
	tcase_add_test(t, directories_and_removal);
	tcase_add_test(t, quotas);
	tcase_add_test(t, hostile_clients);
	tcase_add_test(t, a_watcher_that_never_reads_is_cut_off);
	tcase_add_test(t, faults_of_the_store);
	return sim_run_suite("sim-store", &t, 1);
}
