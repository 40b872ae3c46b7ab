// SPDX-License-Identifier: MIT
/* The plots, drawn by gnuplot, which reads its commands and data from a pipe. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "page.h"

#define MAX_SERIES 24

/* ---- how they look: a colour for a way, a mark and a dash for a policy ---- */

struct look {
	const char *key, *colour;
	int mark, dash;
};

static const struct look ways[] = {
	{.key = "foreign", .colour = "#8a8a8a"},   {.key = "region", .colour = "#2f7fd6"},
	{.key = "copy", .colour = "#e07b00"},      {.key = "map", .colour = "#d0447f"},
	{.key = "map-batch", .colour = "#8f5fd7"}, {.key = "memcpy", .colour = "#2a9d6c"},
	{.key = "eventfd", .colour = "#2a9d6c"},   {.key = NULL, .colour = "#8a8a8a"},
};

static const struct look policies[] = {
	{.key = "direct", .mark = 7, .dash = 1},  {.key = "bounce", .mark = 5, .dash = 1},
	{.key = "fat", .mark = 9, .dash = 4},     {.key = "grant", .mark = 13, .dash = 3},
	{.key = "hybrid", .mark = 11, .dash = 2}, {.key = NULL, .mark = 2, .dash = 5},
};

static const struct look *look(const struct look *of, const char *key)
{
	while (of->key && strcmp(of->key, key) != 0)
		of++;
	return of;
}

/* Lines without marks need a colour for each way and policy. */
static const char *colour_of_name(const struct point *const *first, unsigned int k)
{
	static const char *const colour[] = {"#8a8a8a", "#2f7fd6", "#e07b00", "#2a9d6c",
					     "#d0447f", "#8f5fd7", "#b59a00", "#4bb3c4"};
	unsigned int n = 0;

	for (unsigned int i = 0; strcmp(first[i]->name, first[k]->name) != 0; i++) {
		bool known = false;

		for (unsigned int j = 0; j < i && !known; j++)
			known = !strcmp(first[j]->name, first[i]->name);
		n += !known;
	}
	return colour[n % (sizeof(colour) / sizeof(*colour))];
}

static void style(FILE *g, const struct point *p)
{
	const struct look *policy = look(policies, p->policy);

	fprintf(g, "lc rgb '%s' pt %d dt %d lw 2 ps 0.7", look(ways, p->way)->colour, policy->mark,
		policy->dash);
}

/* ---- gnuplot ---- */

static pid_t gnuplot; /* one at a time */

/* Starts it; what is written to the stream is what it does. */
static FILE *begin(const char *id, int width, int height)
{
	FILE *g = NULL;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC))
		return NULL;
	gnuplot = fork();
	if (!gnuplot) {
		dup2(fd[0], STDIN_FILENO);
		execlp("gnuplot", "gnuplot", (char *)NULL);
		_exit(127);
	}
	close(fd[0]);
	if (gnuplot > 0)
		g = fdopen(fd[1], "w");
	if (!g) {
		close(fd[1]);
		return NULL;
	}
	fprintf(g,
		"set terminal svg size %d,%d dynamic font 'sans-serif,13' noenhanced\n"
		"set output '%s.svg'\nset pointintervalbox 0\nset grid lw 0.5\nset border 3\n"
		"set tics nomirror\nset key outside right top Left reverse samplen 3 spacing "
		"1.25\n",
		width, height, id);
	return g;
}

/* Returns 1, or -1. */
static int end(FILE *g, const char *id)
{
	int status, bad = fclose(g);

	if (waitpid(gnuplot, &status, 0) != gnuplot)
		return page_failed("gnuplot is gone");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return page_failed("gnuplot is not installed: the package gnuplot-nox has it");
	return bad || status ? page_failed("gnuplot could not draw %s", id) : 1;
}

/* Those points of @c that are the first of their series. */
static unsigned int series(const struct figures *f, const struct choice *c,
			   const struct point *out[MAX_SERIES])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < f->points && n < MAX_SERIES; i++) {
		const struct point *p = &f->point[i];
		bool known = !choice_has(c, p);

		for (unsigned int k = 0; k < n && !known; k++)
			known = !strcmp(out[k]->name, p->name) && out[k]->poll_us == p->poll_us;
		if (!known)
			out[n++] = p;
	}
	return n;
}

static bool same_series(const struct choice *c, const struct point *first, const struct point *p)
{
	return choice_has(c, p) && !strcmp(first->name, p->name) && first->poll_us == p->poll_us;
}

/* One data block a series: X, median, low, high, and a second figure. */
static void blocks(FILE *g, const struct figures *f, const struct choice *c,
		   const struct point *const *first, unsigned int n, enum vary vary, bool bytes)
{
	for (unsigned int k = 0; k < n; k++) {
		fprintf(g, "$s%u << EOD\n", k);
		for (unsigned int i = 0; i < f->points; i++) {
			const struct point *p = &f->point[i];
			const struct spread_of *s = bytes ? &p->gbs : &p->rps;
			double unit = bytes ? 1 : 1000;

			if (same_series(c, first[k], p))
				fprintf(g, "%u %g %g %g %g\n", choice_value(p, vary),
					s->median / unit, s->low / unit, s->high / unit,
					p->slowest);
		}
		fprintf(g, "EOD\n");
	}
}

/* Lines with marks, and below them their quartiles. */
static void lines(FILE *g, const struct point *const *first, unsigned int n, const char *columns,
		  bool spread)
{
	const char *before = "plot";

	for (unsigned int k = 0; spread && k < n; k++, before = ",")
		fprintf(g, "%s $s%u using 1:2:3:4 with yerrorbars lc rgb '%s' lw 1 ps 0 notitle",
			before, k, look(ways, first[k]->way)->colour);
	for (unsigned int k = 0; k < n; k++, before = ",") {
		fprintf(g, "%s $s%u using %s with linespoints ", before, k, columns);
		style(g, first[k]);
		fprintf(g, " title '%s'", first[k]->name);
	}
	fprintf(g, "\n");
}

static int draw_sizes(const struct figures *f, struct plot *plot)
{
	struct choice c = choice_of_sizes(f);
	const struct point *first[MAX_SERIES];
	double least = 0, most = 0;
	unsigned int n;
	FILE *g;

	if (!c.n)
		return 0;
	n = series(f, &c, first);
	for (unsigned int i = 0; i < f->points; i++) {
		if (!choice_has(&c, &f->point[i]))
			continue;
		least = least > 0 && least < f->point[i].size ? least : f->point[i].size;
		most = most > f->point[i].size ? most : f->point[i].size;
	}
	g = begin("sizes", 860, 460);
	if (!g)
		return page_failed("gnuplot does not start");
	blocks(g, f, &c, first, n, SIZE, true);
	fprintf(g,
		"set logscale x 2\nset logscale y 10\nset xlabel 'bytes of a request'\n"
		"set ylabel 'GB/s (10^9 bytes a second)'\n"
		"set xrange [%g:%g]\nset xtics ('64' 64, '512' 512, '4 Ki' 4096, '16 Ki' 16384, "
		"'64 Ki' 65536, "
		"'256 Ki' 262144, '1 Mi' 1048576)\nset format y '%%g'\n",
		least * 0.8, most * 1.25);
	lines(g, first, n, "1:2", true);
	choice_words(&c, plot->about);
	return end(g, "sizes");
}

static int draw_latency(const struct figures *f, struct plot *plot)
{
	struct choice c = choice_of_latency(f);
	const struct point *first[MAX_SERIES];
	unsigned int n;
	FILE *g;

	if (!c.n)
		return 0;
	n = series(f, &c, first);
	g = begin("latency", 860, 430);
	if (!g)
		return page_failed("gnuplot does not start");
	for (unsigned int k = 0; k < n; k++) {
		double all = 0, sum = 0;

		fprintf(g, "$s%u << EOD\n", k);
		for (unsigned int i = 0; i < first[k]->buckets; i++)
			all += first[k]->bucket[i].count;
		for (unsigned int i = 0; i < first[k]->buckets; i++) {
			sum += first[k]->bucket[i].count;
			fprintf(g, "%g %g\n", first[k]->bucket[i].ns / 1000, 100 * sum / all);
		}
		/* A yardstick without a histogram draws nothing. */
		fprintf(g, "%sEOD\n", all > 0 ? "" : "NaN NaN\n");
	}
	fprintf(g, "set logscale x 10\nset format x '%%g'\nset xlabel 'microseconds that a request "
		   "takes'\nset ylabel 'requests that were as fast, %%'\nset yrange [0:100]\n");
	for (unsigned int k = 0; k < n; k++) {
		fprintf(g, "%s $s%u using 1:2 with lines lc rgb '%s' lw 2 dt %d", k ? "," : "plot",
			k, colour_of_name(first, k), first[k]->poll_us ? 2 : 1);
		fprintf(g, first[k]->poll_us ? " title '%s, polling %u us'" : " title '%s'",
			first[k]->name, first[k]->poll_us);
	}
	fprintf(g, "\n");
	choice_words(&c, plot->about);
	return end(g, "latency");
}

/* Horizontal bars, from the top: what the backend takes, then what the guest takes. Those of
 * mapping are so long that the others could not be seen: they are cut off, and their figure says
 * how long they are. */
static int draw_costs(const struct figures *f, struct plot *plot)
{
	struct choice c = choice_of_costs(f);
	const struct point *first[MAX_SERIES];
	double limit = 0, total;
	unsigned int n, rows = 0;
	FILE *g;

	if (!c.n)
		return 0;
	n = series(f, &c, first);
	for (unsigned int k = 0; k < n; k++) {
		total = first[k]->backend_ns + first[k]->guest_ns;
		rows += total > 0;
		if (strncmp(first[k]->way, "map", 3) != 0 && 1.25 * total > limit)
			limit = 1.25 * total;
	}
	for (unsigned int k = 0; limit <= 0 && k < n; k++)
		limit = 1.25 * (first[k]->backend_ns + first[k]->guest_ns);
	if (limit <= 0)
		return 0;
	g = begin("costs", 860, 90 + 28 * (int)rows);
	if (!g)
		return page_failed("gnuplot does not start");
	fprintf(g,
		"set key outside top center horizontal\nset xlabel 'CPU time of a request, "
		"microseconds'\nset xrange [0:%g]\nset yrange [%u.5:-0.5]\nset style fill solid "
		"0.85 "
		"noborder\nunset grid\nset grid x lw 0.5\nset ytics scale 0\nset rmargin 9\n",
		limit / 1000, rows - 1);
	fprintf(g, "$s << EOD\n");
	rows = 0;
	for (unsigned int k = 0; k < n; k++) {
		total = first[k]->backend_ns + first[k]->guest_ns;
		if (total <= 0)
			continue;
		fprintf(g, "%u \"%s\" %g %g %g %g \"%.*f%s\"\n", rows++, first[k]->name, 0.0,
			(first[k]->backend_ns < limit ? first[k]->backend_ns : limit) / 1000,
			(total < limit ? total : limit) / 1000,
			(total < limit ? total : limit) / 1000, total < 10000 ? 2 : 0, total / 1000,
			total > limit ? " >>" : "");
	}
	fprintf(g, "EOD\nplot $s using 3:1:3:4:($1-0.36):($1+0.36):ytic(2) with boxxyerror lc rgb "
		   "'#2f7fd6' title 'backend', $s using 4:1:4:5:($1-0.36):($1+0.36) with "
		   "boxxyerror lc "
		   "rgb '#e9a23b' title 'guest', $s using 6:1:7 with labels left offset 0.6,0 "
		   "notitle\n");
	choice_words(&c, plot->about);
	return end(g, "costs");
}

/* Marks that would lie on each other are moved apart sideways. */
static double aside(const struct point *const *first, unsigned int k)
{
	double factor = 1;

	for (unsigned int i = 0; i < k; i++)
		if (first[i]->reachable >= first[k]->reachable * 0.98 &&
		    first[i]->reachable <= first[k]->reachable * 1.02)
			factor *= 1.12;
	return factor;
}

static int draw_exposure(const struct figures *f, struct plot *plot)
{
	struct choice c = choice_of_costs(f);
	const struct point *first[MAX_SERIES];
	unsigned int n, drawn = 0;
	FILE *g;

	if (!c.n)
		return 0;
	n = series(f, &c, first);
	g = begin("exposure", 860, 430);
	if (!g)
		return page_failed("gnuplot does not start");
	fprintf(g,
		"set logscale xy 10\nset format '%%g'\nset xlabel 'pages of the guest that the "
		"backend "
		"could reach, %% of all'\nset ylabel 'thousand requests a second'\n"
		"set xrange [*:200]\nset arrow from 100, graph 0 to 100, graph 1 nohead dt 2 "
		"lc rgb '#8a8a8a'\nset label 'all of its memory' at 100, graph 0.04 right offset "
		"-0.5,0\n");
	for (unsigned int k = 0; k < n; k++) {
		const struct point *p = first[k];

		if (p->pages <= 0 || p->yardstick)
			continue;
		fprintf(g, "$s%u << EOD\n%g %g\nEOD\n", k,
			100 * p->reachable / p->pages * aside(first, k), p->rps.median / 1000);
	}
	for (unsigned int k = 0; k < n; k++) {
		const struct point *p = first[k];

		if (p->pages <= 0 || p->yardstick)
			continue;
		fprintf(g, "%s $s%u using 1:2 with points lc rgb '%s' pt %d ps 1.5 title '%s'",
			drawn++ ? "," : "plot", k, look(ways, p->way)->colour,
			look(policies, p->policy)->mark, p->name);
	}
	fprintf(g, "\n");
	choice_words(&c, plot->about);
	return end(g, "exposure");
}

static int draw_guests(const struct figures *f, struct plot *plot)
{
	struct choice c = choice_of_guests(f);
	const struct point *first[MAX_SERIES];
	unsigned int n;
	FILE *g;

	if (!c.n)
		return 0;
	n = series(f, &c, first);
	g = begin("guests", 860, 560);
	if (!g)
		return page_failed("gnuplot does not start");
	blocks(g, f, &c, first, n, GUESTS, false);
	fprintf(g, "set multiplot layout 2,1\nset lmargin 11\nset rmargin 24\nset logscale x "
		   "2\nset yrange [0:*]\n"
		   "set ylabel 'thousand requests a second'\n");
	lines(g, first, n, "1:2", true);
	fprintf(g, "set format y '%%g'\nset ylabel 'slowest guest / mean'\nset yrange [0:1.1]\n"
		   "set xlabel 'guests at once'\nunset key\n");
	lines(g, first, n, "1:5", false);
	fprintf(g, "unset multiplot\n");
	choice_words(&c, plot->about);
	return end(g, "guests");
}

static int draw_micro(const struct figures *f, struct plot *plot)
{
	static const struct {
		const char *name, *colour;
	} ops[] = {{"grant map", "#d0447f"},
		   {"grant unmap", "#8f5fd7"},
		   {"grant copy, 4 KiB", "#e07b00"},
		   {"grant copy, 16 B", "#2f7fd6"}};
	const unsigned int n = sizeof(ops) / sizeof(*ops);
	unsigned int have = 0;
	const json_t *op;
	size_t i;
	FILE *g;

	json_array_foreach(f->micro, i, op) have +=
		json_number_value(json_object_get(op, "batch")) > 1;
	if (!f->micro || !have)
		return 0;
	g = begin("micro", 860, 400);
	if (!g)
		return page_failed("gnuplot does not start");
	for (unsigned int k = 0; k < n; k++) {
		fprintf(g, "$s%u << EOD\n", k);
		json_array_foreach(f->micro, i, op)
		{
			const char *name = json_string_value(json_object_get(op, "name"));

			if (name && !strcmp(name, ops[k].name))
				fprintf(g, "%g %g\n",
					json_number_value(json_object_get(op, "batch")),
					json_number_value(json_object_get(op, "ns_each")) / 1000);
		}
		fprintf(g, "NaN NaN\nEOD\n");
	}
	fprintf(g, "set logscale x 2\nset logscale y 10\nset format y '%%g'\nset xlabel 'pages or "
		   "pieces in one "
		   "call'\nset ylabel 'microseconds for each'\nset xtics (1, 4, 16, 64, 256)\n"
		   "set xrange [0.8:320]\n");
	for (unsigned int k = 0; k < n; k++)
		fprintf(g,
			"%s $s%u using 1:2 with linespoints lc rgb '%s' lw 2 pt 7 ps 0.7 title "
			"'%s'",
			k ? "," : "plot", k, ops[k].colour, ops[k].name);
	fprintf(g, "\n");
	snprintf(plot->about, sizeof(plot->about), "vgrant-micro");
	return end(g, "micro");
}

int plots_draw(const struct figures *f, struct plot plot[MAX_PLOTS])
{
	static const struct {
		int (*draw)(const struct figures *f, struct plot *plot);
		const char *id, *title, *text;
	} all[] = {
		{draw_sizes, "sizes", "Throughput over the size of a request",
		 "How many bytes a second go through, for each way in which the backend reaches "
		 "the guest's memory and each "
		 "policy of the guest. Bars: half of the runs lie between. Both axes are "
		 "logarithmic: the same distance is "
		 "the same factor."},
		{draw_exposure, "exposure", "Exposure against throughput: the price of safety",
		 "Left is safer: the backend can reach less of the guest's memory. Up is faster. "
		 "Foreign mapping, "
		 "at the right, is how device models work today: all of the guest, always. Marks "
		 "that would lie on each other are "
		 "moved apart sideways; the table below has the figures."},
		{draw_costs, "costs", "What a request costs",
		 "CPU time that both sides spend on one request, with what their system calls "
		 "take. Bars that end with >> are "
		 "cut off; the figure says how long they are."},
		{draw_latency, "latency", "Latency, one request at a time",
		 "For each time, how many of the requests were done by then. Further left is "
		 "faster; a long way to 100 % at "
		 "the top is a tail of slow ones. With polling, the backend looks for requests for "
		 "a while before it sleeps."},
		{draw_guests, "guests", "Many guests on one vgrantd",
		 "Above: what all guests together get. Below: what the slowest gets, as a part of "
		 "the mean; 1 is fair. A machine "
		 "with few processors is full with few guests: the question is whether more of "
		 "them cost anything."},
		{draw_micro, "micro", "Single operations on grants, by batch",
		 "What one page or one copy costs when so many are asked for together."},
	};
	int n = 0;

	/* That gnuplot has ended is seen by its status. */
	signal(SIGPIPE, SIG_IGN);
	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int drawn;

		plot[n] =
			(struct plot){.id = all[i].id, .title = all[i].title, .text = all[i].text};
		drawn = all[i].draw(f, &plot[n]);
		if (drawn < 0)
			return -1;
		n += drawn;
	}
	return n;
}
