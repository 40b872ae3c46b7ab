// SPDX-License-Identifier: MIT
/* xensim-run DIR DOMID COMMAND...: start a program "inside" a simulated domain. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIB_DIR "../lib"

/* The fake libraries stand beside this program, wherever that is. */
static int library_dir(char *dir, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", dir, len - 1);
	char *slash;

	if (n < 0)
		return -errno;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (!slash || (size_t)(slash - dir) + sizeof("/" LIB_DIR) > len)
		return -ENAMETOOLONG;
	memcpy(slash, "/" LIB_DIR, sizeof("/" LIB_DIR));
	return 0;
}

int main(int argc, char **argv)
{
	char lib[PATH_MAX], dir[PATH_MAX], path[2 * PATH_MAX + 32];
	const char *before = getenv("LD_LIBRARY_PATH");
	struct stat st;

	if (argc < 4) {
		fprintf(stderr, "usage: xensim-run DIR DOMID COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (!realpath(argv[1], dir)) {
		fprintf(stderr, "xensim-run: %s: %s; is xensim running there?\n", argv[1],
			strerror(errno));
		return 1;
	}
	if (library_dir(lib, sizeof(lib))) {
		fprintf(stderr, "xensim-run: cannot find the libraries beside this program\n");
		return 1;
	}
	snprintf(path, sizeof(path), "%s%s%s", lib, before ? ":" : "", before ? before : "");
	setenv("LD_LIBRARY_PATH", path, 1);
	snprintf(path, sizeof(path), "%s/dom%s/xenstored", dir, argv[2]);
	setenv("XENSTORED_PATH", path, 1);
	if (stat(path, &st)) {
		fprintf(stderr, "xensim-run: no domain %s in %s (see xensimctl %s list)\n", argv[2],
			argv[1], argv[1]);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/dom%s", dir, argv[2]);
	setenv("XENSIM", path, 1);
	execvp(argv[3], argv + 3);
	fprintf(stderr, "xensim-run: %s: %s\n", argv[3], strerror(errno));
	return 127;
}
