// SPDX-License-Identifier: MIT
/*
 * xenstore for scripts: what the tests need of Xen's xenstore-* tools, which are not on every
 * machine, over libxenstore alone.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xenstore.h>

static int usage(void)
{
	fputs("usage: xs read PATH            the value\n"
	      "       xs ls PATH              the names in it, one a line\n"
	      "       xs perms PATH           owner and reader, as in 'n1 r2'\n"
	      "       xs write PATH VALUE ... pairs, in one transaction\n"
	      "       xs rm PATH\n"
	      "       xs own PATH OWNER READER\n"
	      "       xs wait PATH VALUE SECONDS  until it has the value ('-': until it is gone)\n",
	      stderr);
	return 2;
}

static int failed(const char *what, const char *path)
{
	fprintf(stderr, "xs: %s %s: %s\n", what, path, strerror(errno));
	return 1;
}

static int cmd_read(struct xs_handle *xs, const char *path)
{
	unsigned int len;
	char *value = xs_read(xs, XBT_NULL, path, &len);

	if (!value)
		return failed("read", path);
	fwrite(value, 1, len, stdout);
	putchar('\n');
	free(value);
	return 0;
}

static int cmd_ls(struct xs_handle *xs, const char *path)
{
	unsigned int count;
	char **names = xs_directory(xs, XBT_NULL, path, &count);

	if (!names)
		return failed("ls", path);
	for (unsigned int i = 0; i < count; i++)
		puts(names[i]);
	free(names);
	return 0;
}

static int cmd_perms(struct xs_handle *xs, const char *path)
{
	unsigned int count;
	struct xs_permissions *perms = xs_get_permissions(xs, XBT_NULL, path, &count);

	if (!perms)
		return failed("perms", path);
	for (unsigned int i = 0; i < count; i++) {
		static const char letters[] = {'n', 'r', 'w', 'b'};

		printf("%s%c%u", i ? " " : "", letters[perms[i].perms & 3], perms[i].id);
	}
	putchar('\n');
	free(perms);
	return 0;
}

static int cmd_write(struct xs_handle *xs, int count, char **words)
{
	bool ok;

	do {
		xs_transaction_t t = xs_transaction_start(xs);

		if (t == XBT_NULL)
			return failed("transaction for", words[0]);
		for (int i = 0; i + 1 < count; i += 2) {
			if (!xs_write(xs, t, words[i], words[i + 1],
				      (unsigned int)strlen(words[i + 1]))) {
				int error = errno;

				xs_transaction_end(xs, t, true);
				errno = error;
				return failed("write", words[i]);
			}
		}
		ok = xs_transaction_end(xs, t, false);
	} while (!ok && errno == EAGAIN);
	return ok ? 0 : failed("write", words[0]);
}

static int cmd_own(struct xs_handle *xs, const char *path, const char *owner, const char *reader)
{
	struct xs_permissions perms[2] = {
		{.id = (unsigned int)strtoul(owner, NULL, 10), .perms = XS_PERM_NONE},
		{.id = (unsigned int)strtoul(reader, NULL, 10), .perms = XS_PERM_READ},
	};

	return xs_set_permissions(xs, XBT_NULL, path, perms, 2) ? 0 : failed("own", path);
}

/* A node that cannot be read because its parents went counts as gone. */
static bool matches(struct xs_handle *xs, const char *path, const char *want)
{
	unsigned int len = 0;
	char *value = xs_read(xs, XBT_NULL, path, &len);
	bool match = value ? strlen(want) == len && !memcmp(value, want, len)
			   : !strcmp(want, "-") && (errno == ENOENT || errno == EACCES);

	free(value);
	return match;
}

static int cmd_wait(struct xs_handle *xs, const char *path, const char *want, const char *seconds)
{
	time_t end = time(NULL) + (time_t)strtoul(seconds, NULL, 10);
	struct pollfd fd = {.fd = xs_fileno(xs), .events = POLLIN};
	char **event;

	if (!xs_watch(xs, path, "xs"))
		return failed("watch", path);
	while (!matches(xs, path, want)) {
		if (time(NULL) >= end) {
			fprintf(stderr, "xs: %s did not become '%s' within %s s\n", path, want,
				seconds);
			return 1;
		}
		poll(&fd, 1, 200);
		while ((event = xs_check_watch(xs)) != NULL)
			free(event);
	}
	return 0;
}

static int run(struct xs_handle *xs, int argc, char **argv)
{
	const char *command = argc > 2 ? argv[1] : "";

	if (!strcmp(command, "read") && argc == 3)
		return cmd_read(xs, argv[2]);
	if (!strcmp(command, "ls") && argc == 3)
		return cmd_ls(xs, argv[2]);
	if (!strcmp(command, "perms") && argc == 3)
		return cmd_perms(xs, argv[2]);
	if (!strcmp(command, "write") && argc >= 4 && argc % 2 == 0)
		return cmd_write(xs, argc - 2, argv + 2);
	if (!strcmp(command, "rm") && argc == 3)
		return xs_rm(xs, XBT_NULL, argv[2]) ? 0 : failed("rm", argv[2]);
	if (!strcmp(command, "own") && argc == 5)
		return cmd_own(xs, argv[2], argv[3], argv[4]);
	if (!strcmp(command, "wait") && argc == 5)
		return cmd_wait(xs, argv[2], argv[3], argv[4]);
	return usage();
}

int main(int argc, char **argv)
{
	struct xs_handle *xs = xs_open(0);
	int rc;

	if (!xs) {
		fprintf(stderr, "xs: cannot reach xenstore: %s\n", strerror(errno));
		return 1;
	}
	rc = run(xs, argc, argv);
	xs_close(xs);
	return rc;
}
