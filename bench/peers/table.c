// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../sample.h"
#include "peers.h"

static struct row *row_of(struct table *t, unsigned int chain, unsigned int work, const char *name)
{
	for (unsigned int i = 0; i < t->rows; i++) {
		struct row *r = &t->row[i];

		if (r->chain == chain && r->work == work && !strcmp(r->name, name))
			return r;
	}
	if (t->rows == MAX_ROWS)
		return NULL;
	t->row[t->rows].chain = chain;
	t->row[t->rows].work = work;
	strcpy(t->row[t->rows].name, name);
	return &t->row[t->rows++];
}

int table_add(struct table *t, const char *line)
{
	unsigned int chain, work;
	char name[64], checks[64];
	struct row *r;
	double ns;

	if (sscanf(line, "%u %u %lf %63[^|]|%63[^\n]", &chain, &work, &ns, name, checks) != 5)
		return -EPROTO;
	r = row_of(t, chain, work, name);
	if (!r)
		return -ENOSPC;
	strcpy(r->checks, checks);
	if (r->n == r->room) {
		unsigned int room = r->room ? 2 * r->room : 64;
		double *ns_new = realloc(r->ns, room * sizeof(*ns_new));

		if (!ns_new)
			return -ENOMEM;
		r->ns = ns_new;
		r->room = room;
	}
	r->ns[r->n++] = ns;
	return 0;
}

void table_free(struct table *t)
{
	for (unsigned int i = 0; i < t->rows; i++)
		free(t->row[i].ns);
}

/* How much faster @one is than @other: the spread over the rounds of their ratio. */
static int ratio_of(const struct row *one, const struct row *other, struct spread *ratio)
{
	unsigned int n = one->n < other->n ? one->n : other->n;
	double *each = calloc(n, sizeof(*each));
	int err;

	if (!each)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		each[i] = other->ns[i] / one->ns[i];
	err = sample_spread(each, n, ratio);
	free(each);
	return err;
}

static const char *const works[] = {
	"popped and pushed",
	"popped, 64 bytes copied out, pushed",
	"popped, 64 bytes copied in, pushed",
};

static int print_row(const struct table *t, const struct row *first, const struct row *r,
		     FILE *json)
{
	struct spread ns, ratio;
	int err = sample_spread(r->ns, r->n, &ns);

	if (!err)
		err = ratio_of(first, r, &ratio);
	if (err)
		return err;
	printf("  %-36s %7.2f  %6.2f to %6.2f %8.1f", r->name, ns.median, ns.low, ns.high,
	       1e3 / ns.median);
	if (r == first)
		printf("\n");
	else
		printf("   %5.2f  %5.2f to %5.2f%s\n", ratio.median, ratio.low, ratio.high,
		       sample_differs(&ratio) ? "" : "  cannot tell");
	if (json)
		fprintf(json,
			"%s\n    {\"engine\": \"%s\", \"checks\": \"%s\", \"descriptors\": %u, "
			"\"work\": \"%s\", \"runs\": %u, \"ns\": %.4f, \"ns_low\": %.4f, "
			"\"ns_high\": %.4f, \"against\": \"%s\", \"ratio\": %.4f, \"low\": %.4f, "
			"\"high\": %.4f, \"distinguishable\": %s}",
			r == &t->row[0] ? "" : ",", r->name, r->checks, r->chain, works[r->work],
			r->n, ns.median, ns.low, ns.high, first->name, ratio.median, ratio.low,
			ratio.high, sample_differs(&ratio) ? "true" : "false");
	return 0;
}

int table_print(const struct table *t, FILE *json)
{
	static const unsigned int chain[] = {1, 3};
	int err = 0;

	if (json)
		fprintf(json, "{\n  \"batch\": %u,\n  \"engines\": [", PEER_BATCH);
	for (unsigned int k = 0; k < 2 * (unsigned int)(sizeof(works) / sizeof(*works)); k++) {
		const struct row *first = NULL;

		for (unsigned int i = 0; !err && i < t->rows; i++) {
			const struct row *r = &t->row[i];

			if (r->chain != chain[k % 2] || r->work != k / 2)
				continue;
			if (!first) {
				first = r;
				printf("%sChains of %u descriptor%s, %s, %u at a time\n",
				       k ? "\n" : "", r->chain, r->chain == 1 ? "" : "s",
				       works[r->work], PEER_BATCH);
				printf("  %-36s %7s  %-16s %8s   %s\n", "", "ns each",
				       "  quartiles", "M/s", "the first one's rate to this one's");
			}
			err = print_row(t, first, r, json);
		}
	}
	if (json)
		fprintf(json, "\n  ]\n}\n");
	return err;
}
