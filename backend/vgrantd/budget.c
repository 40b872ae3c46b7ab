// SPDX-License-Identifier: MIT
#include "vgrantd/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

/* Between two looks at the rings lies a microsecond; a process that lost its CPU in between lost it
 * for much more. */
#define GAP_NS UINT64_C(200000)
/* Then nobody polls for so long. */
#define SHORT_NS UINT64_C(100000000)

struct vg_budget_page {
	_Atomic uint64_t short_until;           /* CLOCK_MONOTONIC */
	_Atomic uint32_t holder[VG_BUDGET_MAX]; /* process, 0: nobody */
};

int vg_budget_create(void)
{
	int fd = memfd_create("vgrantd-budget", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct vg_budget_page)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

uint32_t vg_budget_slots(void)
{
	cpu_set_t cpus;
	int n;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 0;
	n = CPU_COUNT(&cpus) - 1;
	return n < VG_BUDGET_MAX ? (uint32_t)n : VG_BUDGET_MAX;
}

int vg_budget_open(struct vg_budget *b, int fd, uint32_t slots)
{
	void *page = mmap(NULL, sizeof(struct vg_budget_page), PROT_READ | PROT_WRITE, MAP_SHARED,
			  fd, 0);

	*b = (struct vg_budget){.held = -1};
	if (page == MAP_FAILED)
		return -errno;
	b->page = page;
	b->slots = slots < VG_BUDGET_MAX ? slots : VG_BUDGET_MAX;
	b->self = (uint32_t)getpid();
	return 0;
}

void vg_budget_close(struct vg_budget *b)
{
	if (!b->page)
		return;
	vg_budget_give(b);
	munmap(b->page, sizeof(*b->page));
	b->page = NULL;
}

void vg_budget_forget(const struct vg_budget *b, pid_t pid)
{
	for (uint32_t i = 0; b->page && i < b->slots; i++) {
		uint32_t gone = (uint32_t)pid;

		atomic_compare_exchange_strong(&b->page->holder[i], &gone, 0);
	}
}

static bool take_slot(struct vg_budget *b, uint64_t now_ns)
{
	if (!b->page || now_ns < atomic_load_explicit(&b->page->short_until, memory_order_relaxed))
		return false;
	for (uint32_t i = 0; i < b->slots; i++) {
		uint32_t nobody = 0;

		/* Looking first: the line stays shared where all slots are taken. */
		if (atomic_load_explicit(&b->page->holder[i], memory_order_relaxed) ||
		    !atomic_compare_exchange_strong(&b->page->holder[i], &nobody, b->self))
			continue;
		b->held = (int)i;
		b->seen_ns = now_ns;
		return true;
	}
	return false;
}

bool vg_budget_take(struct vg_budget *b, uint64_t now_ns)
{
	if (b->held < 0)
		return take_slot(b, now_ns);
	if (now_ns - b->seen_ns > GAP_NS) {
		atomic_store_explicit(&b->page->short_until, now_ns + SHORT_NS,
				      memory_order_relaxed);
		vg_budget_give_held(b);
		return false;
	}
	b->seen_ns = now_ns;
	return true;
}

void vg_budget_give_held(struct vg_budget *b)
{
	uint32_t self = b->self;

	atomic_compare_exchange_strong(&b->page->holder[b->held], &self, 0);
	b->held = -1;
}
