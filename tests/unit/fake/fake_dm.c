// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "fake/fake_internal.h"

struct vg_dm {
	bool server[FAKE_SERVERS], enabled[FAKE_SERVERS];
	struct {
		uint64_t start, size;
	} range[FAKE_SERVERS][FAKE_RANGES];
	int mapped; /* server whose page is mapped, or -1 */
	unsigned int vcpus, irqs;
};

static struct vg_dm fake;
static _Alignas(VG_PAGE_SIZE) uint8_t page[FAKE_SERVERS][VG_PAGE_SIZE];

void fake_dm_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(page, 0, sizeof(page));
	fake.mapped = -1;
	fake.vcpus = 2;
}

struct vg_dm *fake_dm(void)
{
	return &fake;
}

void *fake_dm_page(uint16_t id)
{
	return page[id];
}

void fake_dm_vcpus(unsigned int vcpus)
{
	fake.vcpus = vcpus;
}

bool fake_dm_server(uint16_t id)
{
	return fake.server[id] && fake.enabled[id];
}

bool fake_dm_range(uint16_t id, uint64_t start)
{
	for (unsigned int i = 0; i < FAKE_RANGES; i++)
		if (fake.range[id][i].size && fake.range[id][i].start == start)
			return true;
	return false;
}

bool fake_dm_mapped(void)
{
	return fake.mapped >= 0;
}

int vg_dm_create_server(struct vg_dm *dm, uint16_t *id)
{
	int ret = fake_fault(FAKE_CREATE);

	for (uint16_t i = 0; i < FAKE_SERVERS && !ret; i++) {
		if (!dm->server[i]) {
			dm->server[i] = true;
			*id = i;
			return 0;
		}
	}
	return ret ? ret : -ENOSPC;
}

int vg_dm_destroy_server(struct vg_dm *dm, uint16_t id)
{
	dm->server[id] = dm->enabled[id] = false;
	memset(dm->range[id], 0, sizeof(dm->range[id]));
	return 0;
}

int vg_dm_enable_server(struct vg_dm *dm, uint16_t id)
{
	int ret = fake_fault(FAKE_ENABLE);

	if (!ret)
		dm->enabled[id] = true;
	return ret;
}

int vg_dm_map_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size)
{
	int ret = fake_fault(FAKE_RANGE);

	if (ret)
		return ret;
	if (fake_dm_range(id, start))
		return -EEXIST;
	for (unsigned int i = 0; i < FAKE_RANGES; i++) {
		if (!dm->range[id][i].size) {
			dm->range[id][i].start = start;
			dm->range[id][i].size = size;
			return 0;
		}
	}
	return -ENOSPC;
}

int vg_dm_unmap_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size)
{
	for (unsigned int i = 0; i < FAKE_RANGES; i++)
		if (dm->range[id][i].start == start && dm->range[id][i].size == size)
			dm->range[id][i].size = 0;
	return 0;
}

int vg_dm_map_page(struct vg_dm *dm, uint16_t id, void VG_GUEST **out)
{
	int ret = fake_fault(FAKE_PAGE);

	if (ret)
		return ret;
	if (id >= FAKE_SERVERS || !dm->server[id])
		return -ENOENT;
	dm->mapped = id;
	*out = (void VG_GUEST *)(uintptr_t)page[id];
	return 0;
}

void vg_dm_unmap_page(struct vg_dm *dm)
{
	dm->mapped = -1;
}

int vg_dm_vcpus(struct vg_dm *dm, unsigned int *vcpus)
{
	*vcpus = dm->vcpus;
	return 0;
}
