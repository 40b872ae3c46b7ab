// SPDX-License-Identifier: MIT
#include "place.h"

#include <errno.h>
#include <stddef.h>

const char *const placement_names[PLACEMENTS + 1] = {"same", "apart", "free", NULL};

int place_init(struct place *place, enum placement placement)
{
	place->placement = placement;
	return sched_getaffinity(0, sizeof(place->all), &place->all) ? -errno : 0;
}

/* The @n-th of all, counted in a circle. */
static int pin(const struct place *place, unsigned int n, pid_t pid)
{
	int left = (int)(n % (unsigned int)CPU_COUNT(&place->all)), cpu = 0;
	cpu_set_t one;

	if (place->placement == PLACE_FREE)
		return 0;
	while (!CPU_ISSET(cpu, &place->all) || left--)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(pid, sizeof(one), &one) ? -errno : 0;
}

/* With two CPUs all guests have one and all workers the other; with four, every second pair. */
static unsigned int place_of(const struct place *place, bool polls, unsigned int index,
			     unsigned int end)
{
	return place->placement == PLACE_APART || polls ? 2 * index + end : index;
}

int place_guest(const struct place *place, bool polls, unsigned int index, pid_t guest)
{
	return pin(place, place_of(place, polls, index, 0), guest);
}

int place_worker(const struct place *place, bool polls, unsigned int index, pid_t worker)
{
	return pin(place, place_of(place, polls, index, 1), worker);
}

int place_self(const struct place *place)
{
	return place_guest(place, false, 0, 0);
}

int unplace_self(const struct place *place)
{
	return sched_setaffinity(0, sizeof(place->all), &place->all) ? -errno : 0;
}
