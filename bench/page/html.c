// SPDX-License-Identifier: MIT
/* The page: one file that needs no other and no network. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "page.h"

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<title>vgrant: "
	"measured</title>\n<style>\n"
	":root { color-scheme: light dark; --text: #1c2024; --soft: #5b6670; --line: #d5dae0; "
	"--page: #ffffff; --note: #f3f6fa; --strong: #fff4de; }\n"
	"@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --soft: #9aa5b0; --line: "
	"#3a434c; --page: #15191d; --note: #1e242a; --strong: #3a3018; } }\n"
	"body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); "
	"max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }\n"
	"h1 { margin: 0 0 .3rem; font-size: 1.7rem; }\nh2 { margin: 2.6rem 0 .3rem; font-size: "
	"1.25rem; }\n"
	"p { margin: .5rem 0; }\n.soft { color: var(--soft); font-size: .9rem; }\n"
	".note { background: var(--note); border-radius: 6px; padding: .6rem 1rem; margin: 1rem 0; "
	"}\n"
	".strong { background: var(--strong); }\n"
	"svg { width: 100%; height: auto; display: block; margin: .6rem 0; }\n"
	".wide { overflow-x: auto; }\n"
	"table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; "
	"}\n"
	"th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; "
	"white-space: nowrap; }\n"
	"th { vertical-align: bottom; white-space: normal; font-weight: 600; }\n"
	"th:first-child, td:first-child { text-align: left; }\n"
	"pre { font-size: .8rem; white-space: pre-wrap; background: var(--note); padding: .8rem "
	"1rem; "
	"border-radius: 6px; }\ndt { font-weight: 600; margin-top: .4rem; }\ndd { margin-left: "
	"1.2rem; }\n"
	"</style>\n</head>\n<body>\n";

static const char simulated[] =
	"<div class=\"note strong\"><p><b>Measured on the simulated hypervisor, not on Xen.</b> It "
	"shows what the "
	"software costs: the rings, the copies that the guest makes, the work on each request, "
	"system calls, "
	"how many operations and how much exposure each way takes. Guest and backend are two "
	"processes of one "
	"Linux, a grant map is an mmap, a copy by the hypervisor a memcpy, an event a pipe.</p>\n"
	"<p>So <em>region</em> against <em>foreign</em> means something here, as neither asks the "
	"hypervisor for anything "
	"during a request; and <em>bounce</em> against both, as it is a memcpy. What <em>copy</em> "
	"and <em>map</em> cost on real "
	"hardware cannot be seen here: for that there is the prediction below, and a minute's "
	"measuring on your own "
	"machine.</p></div>\n";

static const char words[] =
	"<h2>Words</h2>\n<dl>\n"
	"<dt>How the backend reaches memory</dt>\n"
	"<dd><b>foreign</b>: all of the guest is mapped, always; what device models on Xen do "
	"today, and insecure. "
	"<b>region</b>: the guest granted a pool of pages once, and it stays mapped. "
	"<b>copy</b>: the hypervisor copies what a request grants. "
	"<b>map</b>: it is mapped for each request; <b>map-batch</b>: for those that come together "
	"at once.</dd>\n"
	"<dt>What the guest does (its policy)</dt>\n"
	"<dd><b>direct</b>: buffers lie where the backend reaches them anyway; the baseline. "
	"<b>bounce</b>: copies them to and from a pool that is granted once. <b>fat</b>: the same, "
	"pool and rings in "
	"one region. <b>grant</b>: grants all of each request. <b>hybrid</b>: grants large "
	"buffers, bounces the rest.</dd>\n"
	"<dt>Yardsticks</dt>\n<dd><b>memcpy</b>: copying as much, and nothing else. "
	"<b>eventfd</b>: a write to another "
	"process and its answer; no request can be faster without polling.</dd>\n"
	"<dt>Engine</dt>\n<dd>What the disk does with the data. <b>null</b>: nothing, so that a "
	"difference is seen at its largest; "
	"its GB/s are requests times size, no byte moves but by bouncing or by Xen. <b>memory</b>: "
	"one memcpy. <b>file</b>: a file.</dd>\n</dl>\n";

static void escaped(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else if (*s == '&')
			fputs("&amp;", out);
		else
			fputc(*s, out);
	}
}

/* ---- a plot: gnuplot's SVG, its black made the page's colour, its ids its own ---- */

static const char *const exchange[][2] = {
	{"color=\"black\"", ""},
	{"stroke=\"black\"", "stroke=\"currentColor\""},
	{"stroke='black'", "stroke='currentColor'"},
	{"fill=\"black\"", "fill=\"currentColor\""},
	/* What clears the place of a mark of error bars, which have none. */
	{"color='white'", "visibility='hidden'"},
};

/* Writes one line of it. */
static void svg_line(FILE *out, const char *line, const char *id)
{
	while (*line) {
		bool done = false;

		for (unsigned int i = 0; i < sizeof(exchange) / sizeof(*exchange) && !done; i++) {
			size_t len = strlen(exchange[i][0]);

			done = !strncmp(line, exchange[i][0], len);
			if (done) {
				fputs(exchange[i][1], out);
				line += len;
			}
		}
		if (done)
			continue;
		/* id='x', id="x", '#x', url(#x). */
		if (!strncmp(line, "id=", 3)) {
			fprintf(out, "id=%c%s-", line[3], id);
			line += 4;
		} else if (*line == '#' && (line[1] == 'g' || line[1] == 't')) {
			fprintf(out, "#%s-", id);
			line++;
		} else {
			fputc(*line++, out);
		}
	}
}

static int put_svg(FILE *out, const struct plot *plot)
{
	char path[64], line[65536];
	bool begun = false;
	FILE *in;

	snprintf(path, sizeof(path), "%s.svg", plot->id);
	in = fopen(path, "re");
	if (!in)
		return page_failed("%s was not drawn", path);
	while (fgets(line, sizeof(line), in)) {
		char *at = line;

		/* What comes before is an XML declaration. */
		if (!begun) {
			at = strstr(line, "<svg");
			if (!at)
				continue;
			begun = true;
			fprintf(out, "<svg role=\"img\" aria-label=\"%s\"", plot->title);
			at += 4;
		}
		/* A title would be shown at the mouse's arrow. */
		if (!strncmp(at, "<title>", 7) || !strncmp(at, "<desc>", 6))
			continue;
		if (strstr(at, "<title>gnuplot_plot"))
			*strstr(at, "<title>gnuplot_plot") = '\0';
		svg_line(out, at, plot->id);
	}
	fclose(in);
	return begun ? 0 : page_failed("%s holds no picture", path);
}

static int put_plot(FILE *out, const struct plot *plot)
{
	fprintf(out, "<h2 id=\"%s\">%s</h2>\n<p>%s</p>\n", plot->id, plot->title, plot->text);
	if (put_svg(out, plot))
		return -1;
	fprintf(out, "<p class=\"soft\">%s</p>\n", plot->about);
	return 0;
}

/* ---- tables ---- */

/* A cell for a figure that is not known everywhere: on Xen, from outside of the domains. */
static void perhaps(FILE *out, int digits, double value)
{
	if (value < 0)
		fputs("<td>&ndash;</td>", out);
	else
		fprintf(out, "<td>%.*f</td>", digits, value);
}

static void put_costs(FILE *out, const struct figures *f)
{
	struct choice c = choice_of_costs(f);

	if (!c.n)
		return;
	fputs("<div class=\"wide\"><table>\n<tr><th>a request</th><th>requests a "
	      "second</th><th>CPU of backend, "
	      "&micro;s</th><th>CPU of guest, &micro;s</th><th>grant operations</th><th>copied by "
	      "Xen, bytes</th>"
	      "<th>copied by guest, bytes</th><th>system calls of backend</th><th>events sent</th>"
	      "<th>pages reachable</th></tr>\n",
	      out);
	for (unsigned int i = 0; i < f->points; i++) {
		const struct point *p = &f->point[i];

		if (!choice_has(&c, p) || p->yardstick)
			continue;
		fprintf(out, "<tr><td>%s</td><td>%.0f</td><td>%.2f</td><td>%.2f</td><td>%.3g</td>",
			p->name, p->rps.median, p->backend_ns / 1000, p->guest_ns / 1000,
			p->grants);
		perhaps(out, 0, p->xen_copied);
		perhaps(out, 0, p->guest_copied);
		perhaps(out, 2, p->calls);
		fprintf(out, "<td>%.2f</td><td>%.0f of %.0f</td></tr>\n", p->sends, p->reachable,
			p->pages);
	}
	fputs("</table></div>\n", out);
}

/* Latency of one request at a time, and what it is of the eventfd's, where that was measured. */
static void put_latency(FILE *out, const struct figures *f)
{
	struct choice c = choice_of_latency(f);
	double yardstick = 0;

	for (unsigned int i = 0; i < f->points; i++)
		if (choice_has(&c, &f->point[i]) && !strcmp(f->point[i].way, "eventfd"))
			yardstick = f->point[i].p50;
	fputs("<div class=\"wide\"><table>\n<tr><th>one request</th><th>polling, &micro;s</th>"
	      "<th>half are done after, &micro;s</th><th>99 %</th><th>99.9 %</th>"
	      "<th>half, times the eventfd's</th></tr>\n",
	      out);
	for (unsigned int i = 0; i < f->points; i++) {
		const struct point *p = &f->point[i];

		if (!choice_has(&c, p) || !p->buckets)
			continue;
		fprintf(out,
			"<tr><td>%s</td><td>%u</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>",
			p->name, p->poll_us, p->p50 / 1000, p->p99 / 1000, p->p999 / 1000);
		if (yardstick > 0)
			fprintf(out, "%.2f", p->p50 / yardstick);
		fputs("</td></tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

/* What is in flight, at least, or all that it was told to span. */
static double data_mib(const struct point *p)
{
	double least = (double)p->size * p->depth * p->queues * p->guests;

	return (p->span > least ? p->span : least) / 1048576.0;
}

static void put_comparisons(FILE *out, const struct figures *f)
{
	if (!f->comparisons)
		return;
	fputs("<h2>Compared</h2>\n<p>Rate of the first over rate of the second, run by run: the "
	      "median, and between which values half "
	      "of the pairs lie. Above 1 the first is faster. Where the spread is wider than the "
	      "difference, nobody "
	      "may say which is faster.</p>\n<div class=\"wide\"><table>\n"
	      "<tr><th>first</th><th>second</th><th>engine, "
	      "direction</th><th>bytes</th><th>depth</th><th>guests</th>"
	      "<th>polling, &micro;s</th><th>data in, MiB</th><th>ratio</th><th>half of the "
	      "pairs</th><th></th></tr>\n",
	      out);
	for (unsigned int i = 0; i < f->comparisons; i++) {
		const struct comparison *c = &f->comparison[i];
		const struct point *a = &f->point[c->a], *b = &f->point[c->b];

		if (a->yardstick)
			continue;
		fprintf(out,
			"<tr><td>%s</td><td style=\"text-align:left\">%s</td><td>%s, "
			"%s</td><td>%u</td><td>%u</td><td>%u</td>"
			"<td>%u</td><td>%.4g</td><td>%.3f</td><td>%.3f to "
			"%.3f</td><td>%s</td></tr>\n",
			a->name, b->name, a->engine, a->op, a->size, a->depth, a->guests,
			a->poll_us, data_mib(a), c->ratio.median, c->ratio.low, c->ratio.high,
			c->distinguishable ? "" : "cannot tell");
	}
	fputs("</table></div>\n", out);
}

static void put_peers(FILE *out, const struct figures *f)
{
	const json_t *e;
	size_t i;

	if (!f->peers)
		return;
	fputs("<h2>The virtqueue engine beside others</h2>\n<p>The device side of a virtqueue "
	      "alone: 32 chains popped, then pushed, on one "
	      "core, in plain memory. The ratio is our rate over theirs. DPDK copies 64 bytes "
	      "each, and is set beside ours with such "
	      "a copy. What is equal and what is not: bench/peers/README.md.</p>\n<div "
	      "class=\"wide\"><table>\n"
	      "<tr><th>engine</th><th "
	      "style=\"text-align:left\">work</th><th>descriptors</th><th>ns a "
	      "chain</th><th>ratio</th><th></th></tr>\n",
	      out);
	json_array_foreach(f->peers, i, e)
	{
		const char *name = json_string_value(json_object_get(e, "engine"));
		const char *against = json_string_value(json_object_get(e, "against"));
		const char *work = json_string_value(json_object_get(e, "work"));
		bool first = name && against && !strcmp(name, against);

		fputs("<tr><td>", out);
		escaped(out, name ? name : "");
		fputs("</td><td style=\"text-align:left\">", out);
		escaped(out, work ? work : "");
		fprintf(out, "</td><td>%.0f</td><td>%.1f</td>",
			json_number_value(json_object_get(e, "descriptors")),
			json_number_value(json_object_get(e, "ns")));
		if (first)
			fputs("<td></td><td></td></tr>\n", out);
		else
			fprintf(out, "<td>%.2f</td><td>%s</td></tr>\n",
				json_number_value(json_object_get(e, "ratio")),
				json_is_true(json_object_get(e, "distinguishable"))
					? ""
					: "cannot tell");
	}
	fputs("</table></div>\n", out);
}

static void put_prediction(FILE *out, const char *path)
{
	FILE *in = path ? fopen(path, "re") : NULL;
	char line[512];

	if (!in)
		return;
	fputs("<h2>Prediction for real hardware</h2>\n<p>Not measured: the operations of a "
	      "request, which are counted here, times what others have "
	      "published of such operations. <code>bench/cost-model.md</code> has the reckoning, "
	      "and how to put in the figures of your own "
	      "machine.</p>\n<pre>",
	      out);
	while (fgets(line, sizeof(line), in))
		escaped(out, line);
	fputs("</pre>\n", out);
	fclose(in);
}

int page_write(const struct figures *f, const char *prediction, const struct plot *plot,
	       unsigned int plots)
{
	FILE *out = fopen("index.html", "we");
	time_t now = time(NULL);
	char date[64] = "";
	struct tm tm;

	if (!out)
		return page_failed("cannot write index.html");
	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm);
	fputs(head, out);
	fputs("<h1>vgrant, measured</h1>\n<p class=\"soft\">", out);
	fprintf(out, "%s &middot; hypervisor: ", date);
	escaped(out, f->hypervisor);
	fputs(" &middot; CPU: ", out);
	escaped(out, f->cpu);
	fputs(" &middot; Linux ", out);
	escaped(out, f->kernel);
	fprintf(out, " &middot; scheduler ");
	escaped(out, f->scheduler);
	fputs("</p>\n<p>virtio over Xen grants: a backend that reaches only the pages that the "
	      "guest gave it, against one that reaches all "
	      "of them, in alternating runs on one machine.</p>\n",
	      out);
	if (!strcmp(f->hypervisor, "simulated"))
		fputs(simulated, out);
	for (unsigned int i = 0; i < plots; i++) {
		if (put_plot(out, &plot[i])) {
			fclose(out);
			return -1;
		}
		if (!strcmp(plot[i].id, "costs"))
			put_costs(out, f);
		if (!strcmp(plot[i].id, "latency"))
			put_latency(out, f);
	}
	put_prediction(out, prediction);
	put_peers(out, f);
	put_comparisons(out, f);
	fputs(words, out);
	fputs("</body>\n</html>\n", out);
	return fclose(out) ? page_failed("cannot write index.html") : 0;
}
