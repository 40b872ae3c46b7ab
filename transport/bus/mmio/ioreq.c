// SPDX-License-Identifier: MIT
/*
 * The IOREQ server of one guest: one slot a vCPU in a page that is shared with Xen. A slot is Xen's
 * but for the moment between READY and RESPONSE, when it is ours; a vCPU waits meanwhile.
 *
 * The page is Xen's and its content was made by Xen of what the guest did. It is checked all the
 * same, like what a guest writes: whatever it holds, an access reaches a register of a device or
 * nothing.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xen/hvm/ioreq.h>

#include <vgrant/dm.h>
#include <vgrant/mmio.h>
#include <vgrant/xen.h>

/* The byte of a slot that has the state in its low half; the rest are flags. */
#define STATE_BYTE 30
#define STATE_MASK 0x0f

_Static_assert(sizeof(struct ioreq) == 32, "the slot as Xen has it");
_Static_assert(__builtin_offsetof(struct ioreq, type) == STATE_BYTE + 1, "likewise");
_Static_assert(VG_IOREQ_MAX_VCPUS * sizeof(struct ioreq) == VG_PAGE_SIZE, "slots in a page");

/* Repetitions that one request may stand for: no instruction repeats past a page. */
#define MAX_COUNT VG_PAGE_SIZE

/* For so long an access waits for a device that an earlier process had and this one has not yet. */
#define SETTLE_MS 30000

struct range {
	uint64_t base;
	struct vg_mmio *mmio; /* NULL: the entry is free, or */
	bool kept;            /* accesses wait for a later process */
};

struct vcpu {
	int port;
	const struct vg_mmio *waits; /* the answer is due when its reset is done */
};

struct vg_ioreq {
	/* The request path. */
	struct ioreq VG_GUEST *slot;
	struct vg_evtchn *evtchn;
	unsigned int num_vcpus;
	struct vcpu vcpu[VG_IOREQ_MAX_VCPUS];
	struct range range[VG_IOREQ_MAX_RANGES];
	struct vg_ioreq_stats stats;

	struct vg_dm *dm;
	const struct vg_log *log;
	uint16_t domid, id;
	bool created, adopted, started;
	bool settled;         /* whatever device the earlier process had is here or will not come */
	uint64_t deadline_ms; /* of that; 0: not set yet */
};

/* ---- life ---- */

static int adopt(struct vg_ioreq *ioreq, uint32_t id, void VG_GUEST **page)
{
	int ret;

	if (id > UINT16_MAX)
		return -ENOENT;
	ret = vg_dm_map_page(ioreq->dm, (uint16_t)id, page);
	if (ret) {
		vg_warn(ioreq->log,
			"dom%u: IOREQ server %u of an earlier vgrantd cannot be taken over (%s): "
			"making a new one",
			ioreq->domid, id, strerror(-ret));
		return ret;
	}
	ioreq->id = (uint16_t)id;
	ioreq->adopted = true;
	return 0;
}

static int create(struct vg_ioreq *ioreq, const struct vg_ioreq_config *config,
		  void VG_GUEST **page)
{
	int ret = vg_dm_create_server(ioreq->dm, &ioreq->id);

	if (ret)
		return ret;
	ioreq->created = true;
	if (config->created)
		ret = config->created(config->opaque, ioreq->id);
	if (ret)
		return ret;
	return vg_dm_map_page(ioreq->dm, ioreq->id, page);
}

int vg_ioreq_open(const struct vg_ioreq_config *config, struct vg_ioreq **out)
{
	struct vg_ioreq *ioreq = calloc(1, sizeof(*ioreq));
	void VG_GUEST *page;
	int ret;

	if (!ioreq)
		return -ENOMEM;
	ioreq->dm = config->dm;
	ioreq->evtchn = config->evtchn;
	ioreq->domid = config->domid;
	ioreq->log = config->log;
	ret = config->adopt == VG_IOREQ_NONE ? -ENOENT : adopt(ioreq, config->adopt, &page);
	if (ret)
		ret = create(ioreq, config, &page);
	if (!ret) {
		ioreq->slot = (struct ioreq VG_GUEST *)page;
		/* Only then are the vCPUs' channels in the page. A server that was enabled stays
		 * so. */
		ret = vg_dm_enable_server(ioreq->dm, ioreq->id);
	}
	if (!ret)
		ret = vg_dm_vcpus(ioreq->dm, &ioreq->num_vcpus);
	if (!ret && ioreq->num_vcpus > VG_IOREQ_MAX_VCPUS)
		ret = -E2BIG;
	if (ret) {
		ioreq->num_vcpus = 0;
		vg_ioreq_close(ioreq, ioreq->created);
		return ret;
	}
	ioreq->settled = !ioreq->adopted;
	*out = ioreq;
	return 0;
}

void vg_ioreq_close(struct vg_ioreq *ioreq, bool destroy)
{
	if (!ioreq)
		return;
	for (unsigned int i = 0; i < ioreq->num_vcpus; i++)
		if (ioreq->vcpu[i].port)
			vg_evtchn_unbind(ioreq->evtchn, ioreq->vcpu[i].port);
	vg_dm_unmap_page(ioreq->dm);
	if (destroy)
		vg_dm_destroy_server(ioreq->dm, ioreq->id);
	free(ioreq);
}

uint16_t vg_ioreq_id(const struct vg_ioreq *ioreq)
{
	return ioreq->id;
}

bool vg_ioreq_adopted(const struct vg_ioreq *ioreq)
{
	return ioreq->adopted;
}

/* ---- ranges ---- */

int vg_ioreq_add(struct vg_ioreq *ioreq, uint64_t base, struct vg_mmio *mmio)
{
	struct range *free_range = NULL;
	int ret;

	if (base > UINT64_MAX - VG_MMIO_SIZE)
		return -EINVAL;
	for (unsigned int i = 0; i < VG_IOREQ_MAX_RANGES; i++) {
		struct range *r = &ioreq->range[i];

		if (!r->mmio && (!r->kept || r->base == base))
			free_range = free_range ? free_range : r;
		else if (base < r->base + VG_MMIO_SIZE && r->base < base + VG_MMIO_SIZE)
			return -EEXIST;
	}
	if (!free_range)
		return -ENOSPC;
	ret = vg_dm_map_range(ioreq->dm, ioreq->id, base, VG_MMIO_SIZE);
	/* An earlier process's server has it already. */
	if (ret && !(ret == -EEXIST && ioreq->adopted))
		return ret;
	*free_range = (struct range){.base = base, .mmio = mmio};
	vg_ioreq_poll(ioreq); /* something may have waited for it */
	return 0;
}

void vg_ioreq_remove(struct vg_ioreq *ioreq, struct vg_mmio *mmio, bool keep)
{
	vg_ioreq_release(ioreq, mmio);
	for (unsigned int i = 0; i < VG_IOREQ_MAX_RANGES; i++) {
		struct range *r = &ioreq->range[i];

		if (r->mmio != mmio)
			continue;
		if (!keep)
			vg_dm_unmap_range(ioreq->dm, ioreq->id, r->base, VG_MMIO_SIZE);
		*r = (struct range){.base = keep ? r->base : 0, .kept = keep};
	}
}

/* ---- the slots ---- */

static uint8_t VG_GUEST *state_of(struct vg_ioreq *ioreq, unsigned int vcpu)
{
	return vg_guest_offset((uint8_t VG_GUEST *)(ioreq->slot + vcpu), STATE_BYTE);
}

static uint8_t load_state(struct vg_ioreq *ioreq, unsigned int vcpu)
{
	return __atomic_load_n(VG_GUEST_RAW(uint8_t, state_of(ioreq, vcpu)), __ATOMIC_ACQUIRE);
}

/* The flags beside the state stay as they were when the request was taken. */
static void store_state(struct vg_ioreq *ioreq, unsigned int vcpu, uint8_t flags, uint8_t state)
{
	__atomic_store_n(VG_GUEST_RAW(uint8_t, state_of(ioreq, vcpu)),
			 (uint8_t)((flags & ~STATE_MASK) | state), __ATOMIC_RELEASE);
}

static uint32_t event_channel(const struct vg_ioreq *ioreq, unsigned int vcpu)
{
	const uint8_t VG_GUEST *slot = (const uint8_t VG_GUEST *)(ioreq->slot + vcpu);

	return vg_guest_load32((const uint32_t VG_GUEST *)vg_guest_offset(
		slot, __builtin_offsetof(struct ioreq, vp_eport)));
}

int vg_ioreq_start(struct vg_ioreq *ioreq)
{
	if (ioreq->started)
		return 0;
	for (unsigned int i = 0; i < ioreq->num_vcpus; i++) {
		uint32_t remote = event_channel(ioreq, i);
		int port;

		if (!remote) /* a vCPU that the guest does not have */
			continue;
		port = vg_evtchn_bind(ioreq->evtchn, ioreq->domid, remote);
		if (port < 0) {
			vg_warn(ioreq->log,
				"dom%u: cannot bind event channel %u, of the I/O requests of its "
				"vCPU %u: %s",
				ioreq->domid, remote, i, strerror(-port));
			return ioreq->adopted ? -EBUSY : port;
		}
		ioreq->vcpu[i].port = port;
	}
	ioreq->started = true;
	for (unsigned int i = 0; i < ioreq->num_vcpus; i++) {
		uint8_t flags = load_state(ioreq, i);

		/* The earlier process was at it when it ended: from the beginning. */
		if (ioreq->adopted && (flags & STATE_MASK) == STATE_IOREQ_INPROCESS)
			store_state(ioreq, i, flags, STATE_IOREQ_READY);
		/* Or it had answered, and not told. */
		else if (ioreq->adopted && (flags & STATE_MASK) == STATE_IORESP_READY &&
			 ioreq->vcpu[i].port)
			vg_evtchn_notify(ioreq->evtchn, ioreq->vcpu[i].port);
	}
	vg_ioreq_poll(ioreq);
	return 0;
}

/* ---- the request path ---- */

static const struct range *find_range(const struct vg_ioreq *ioreq, uint64_t addr)
{
	for (unsigned int i = 0; i < VG_IOREQ_MAX_RANGES; i++) {
		const struct range *r = &ioreq->range[i];

		if ((r->mmio || r->kept) && addr - r->base < VG_MMIO_SIZE)
			return r;
	}
	return NULL;
}

/* The device that has all of the access, or NULL. */
static struct vg_mmio *find(const struct vg_ioreq *ioreq, uint64_t addr, unsigned int size,
			    uint64_t *offset)
{
	const struct range *r = find_range(ioreq, addr);

	if (!r || size > VG_MMIO_SIZE - (addr - r->base))
		return NULL;
	*offset = addr - r->base;
	return r->mmio;
}

/* Is the request for a device that is still to come, here or in a later process? */
static bool must_wait(const struct vg_ioreq *ioreq, const struct ioreq *req)
{
	const struct range *r = find_range(ioreq, req->addr);

	if (req->type != IOREQ_TYPE_COPY)
		return false;
	return r ? r->kept : !ioreq->settled;
}

static bool is_sane(const struct ioreq *req)
{
	return req->type == IOREQ_TYPE_COPY && !req->data_is_ptr && req->count &&
	       req->count <= MAX_COUNT &&
	       (req->size == 1 || req->size == 2 || req->size == 4 || req->size == 8);
}

/* Keeps the bytes that an access of so many has. */
static uint64_t narrow(uint64_t value, unsigned int size)
{
	return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

/*
 * Does what the private copy @req asks for; an answer is left in ->data. A device whose reset the
 * vCPU is to wait for is returned. Where nobody is, all bits are set, as on a bus without a device.
 */
static const struct vg_mmio *perform(struct vg_ioreq *ioreq, struct ioreq *req)
{
	uint64_t step = req->df ? 0 - (uint64_t)req->size : req->size;
	const struct vg_mmio *waits = NULL;
	uint64_t addr = req->addr, offset;

	/* Xen says that mappings of the guest's memory may be stale, to those who have any. */
	if (req->type == IOREQ_TYPE_INVALIDATE)
		return NULL;
	if (!is_sane(req)) {
		ioreq->stats.refused++;
		/* There, data is an address that the instruction still needs, or no data at all. */
		if (req->type == IOREQ_TYPE_COPY && !req->data_is_ptr && req->dir == IOREQ_READ)
			req->data = UINT64_MAX;
		return NULL;
	}
	for (uint32_t i = 0; i < req->count; i++, addr += step) {
		struct vg_mmio *mmio = find(ioreq, addr, req->size, &offset);

		if (!mmio) {
			ioreq->stats.refused++;
			if (req->dir == IOREQ_READ)
				req->data = narrow(UINT64_MAX, req->size);
		} else if (req->dir == IOREQ_READ) {
			req->data = narrow(vg_mmio_read(mmio, offset, req->size), req->size);
		} else if (vg_mmio_write(mmio, offset, req->size, narrow(req->data, req->size)) ==
			   -EINPROGRESS) {
			waits = mmio;
		}
	}
	return waits;
}

static void answer(struct vg_ioreq *ioreq, unsigned int vcpu, uint8_t flags)
{
	store_state(ioreq, vcpu, flags, STATE_IORESP_READY);
	ioreq->stats.requests++;
	if (ioreq->vcpu[vcpu].port)
		vg_evtchn_notify(ioreq->evtchn, ioreq->vcpu[vcpu].port);
}

static bool serve(struct vg_ioreq *ioreq, unsigned int vcpu)
{
	uint8_t flags = load_state(ioreq, vcpu);
	struct ioreq req;

	if ((flags & STATE_MASK) != STATE_IOREQ_READY)
		return false;
	vg_guest_copy_from(&req, ioreq->slot + vcpu, sizeof(req));
	if (__builtin_expect(must_wait(ioreq, &req), 0))
		return false;
	store_state(ioreq, vcpu, flags, STATE_IOREQ_INPROCESS);
	ioreq->vcpu[vcpu].waits = perform(ioreq, &req);
	if (req.dir == IOREQ_READ)
		vg_guest_copy_to(vg_guest_offset((uint8_t VG_GUEST *)(ioreq->slot + vcpu),
						 __builtin_offsetof(struct ioreq, data)),
				 &req.data, sizeof(req.data));
	if (!ioreq->vcpu[vcpu].waits)
		answer(ioreq, vcpu, flags);
	return true;
}

bool vg_ioreq_event(struct vg_ioreq *ioreq, int port)
{
	if (port <= 0)
		return false;
	for (unsigned int i = 0; i < ioreq->num_vcpus; i++) {
		if (ioreq->vcpu[i].port == port) {
			serve(ioreq, i);
			return true;
		}
	}
	return false;
}

bool vg_ioreq_poll(struct vg_ioreq *ioreq)
{
	bool any = false;

	for (unsigned int i = 0; ioreq->started && i < ioreq->num_vcpus; i++)
		any |= serve(ioreq, i);
	return any;
}

void vg_ioreq_service(struct vg_ioreq *ioreq, uint64_t now_ms)
{
	if (ioreq->settled)
		return;
	if (!ioreq->deadline_ms)
		ioreq->deadline_ms = now_ms + SETTLE_MS;
	if (now_ms < ioreq->deadline_ms)
		return;
	ioreq->settled = true;
	vg_ioreq_poll(ioreq);
}

int vg_ioreq_timeout(const struct vg_ioreq *ioreq, uint64_t now_ms)
{
	if (ioreq->settled)
		return -1;
	return ioreq->deadline_ms > now_ms ? (int)(ioreq->deadline_ms - now_ms) : 0;
}

void vg_ioreq_release(struct vg_ioreq *ioreq, const struct vg_mmio *mmio)
{
	for (unsigned int i = 0; i < ioreq->num_vcpus; i++) {
		if (ioreq->vcpu[i].waits != mmio)
			continue;
		ioreq->vcpu[i].waits = NULL;
		answer(ioreq, i, load_state(ioreq, i));
	}
}

void vg_ioreq_get_stats(const struct vg_ioreq *ioreq, struct vg_ioreq_stats *stats)
{
	*stats = ioreq->stats;
}
