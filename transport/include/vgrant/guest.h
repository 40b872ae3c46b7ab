/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: its pointer type, and the only ways to touch it.
 *
 * A guest may change any byte of its memory at any time. So a pointer to guest memory is a type of
 * its own, VG_GUEST, which clang refuses to dereference (-Werror=noderef; gcc ignores it): a value
 * is fetched once through an accessor into private memory, and then it is checked and used.
 *
 * This header also holds every ordering primitive of the project. Shared indices are little-endian,
 * as in virtio 1.x; the accessors convert.
 */
#ifndef VGRANT_GUEST_H
#define VGRANT_GUEST_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#if defined(__clang__)
#define VG_GUEST __attribute__((noderef))
#else
#define VG_GUEST
#endif

#define VG_PAGE_SHIFT 12
#define VG_PAGE_SIZE  (1u << VG_PAGE_SHIFT)
#define VG_PAGE_MASK  (VG_PAGE_SIZE - 1)

/* A piece of guest memory. Same layout as struct iovec, so that an array can go to the kernel. */
struct vg_iov {
	void VG_GUEST *base;
	size_t len;
};

_Static_assert(sizeof(struct vg_iov) == sizeof(struct iovec), "vg_iov goes to the kernel as iovec");
_Static_assert(offsetof(struct vg_iov, len) == offsetof(struct iovec, iov_len), "likewise");

/* The one place where a guest pointer becomes a plain one. For the accessors below only. */
#define VG_GUEST_RAW(type, p) ((type *)(uintptr_t)(p))

/* Hands guest memory to the kernel, which copies it as untrusted user memory. */
static inline const struct iovec *vg_iov_kernel(const struct vg_iov *iov)
{
	return (const struct iovec *)(const void *)iov;
}

/* Plain fetches: one load each, no ordering. */
static inline uint16_t vg_guest_load16(const uint16_t VG_GUEST *p)
{
	return le16toh(__atomic_load_n(VG_GUEST_RAW(const uint16_t, p), __ATOMIC_RELAXED));
}

static inline uint32_t vg_guest_load32(const uint32_t VG_GUEST *p)
{
	return le32toh(__atomic_load_n(VG_GUEST_RAW(const uint32_t, p), __ATOMIC_RELAXED));
}

/* Fetch of an index: what the peer wrote before publishing the index is visible after it. */
static inline uint16_t vg_guest_load16_acquire(const uint16_t VG_GUEST *p)
{
	return le16toh(__atomic_load_n(VG_GUEST_RAW(const uint16_t, p), __ATOMIC_ACQUIRE));
}

static inline uint32_t vg_guest_load32_acquire(const uint32_t VG_GUEST *p)
{
	return le32toh(__atomic_load_n(VG_GUEST_RAW(const uint32_t, p), __ATOMIC_ACQUIRE));
}

/* Plain stores. */
static inline void vg_guest_store16(uint16_t VG_GUEST *p, uint16_t v)
{
	__atomic_store_n(VG_GUEST_RAW(uint16_t, p), htole16(v), __ATOMIC_RELAXED);
}

static inline void vg_guest_store32(uint32_t VG_GUEST *p, uint32_t v)
{
	__atomic_store_n(VG_GUEST_RAW(uint32_t, p), htole32(v), __ATOMIC_RELAXED);
}

static inline void vg_guest_store8(uint8_t VG_GUEST *p, uint8_t v)
{
	__atomic_store_n(VG_GUEST_RAW(uint8_t, p), v, __ATOMIC_RELAXED);
}

/* Publishing an index: all earlier writes are visible before it. */
static inline void vg_guest_store16_release(uint16_t VG_GUEST *p, uint16_t v)
{
	__atomic_store_n(VG_GUEST_RAW(uint16_t, p), htole16(v), __ATOMIC_RELEASE);
}

static inline void vg_guest_store32_release(uint32_t VG_GUEST *p, uint32_t v)
{
	__atomic_store_n(VG_GUEST_RAW(uint32_t, p), htole32(v), __ATOMIC_RELEASE);
}

/*
 * Full barrier between publishing one's own index and reading the peer's wish to be notified (or
 * the reverse): without it both sides may miss each other and sleep. An exchange on a private word
 * is the barrier that ThreadSanitizer understands.
 */
static inline void vg_full_barrier(void)
{
	uint32_t word = 0;

	__atomic_exchange_n(&word, 1, __ATOMIC_SEQ_CST);
#if !defined(__SANITIZE_THREAD__)
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Copies between private and guest memory; the guest may write meanwhile, so the copy is what
 * counts. */
static inline void vg_guest_copy_from(void *dst, const void VG_GUEST *src, size_t len)
{
	memcpy(dst, VG_GUEST_RAW(const void, src), len);
	__asm__ volatile("" ::: "memory");
}

static inline void vg_guest_copy_to(void VG_GUEST *dst, const void *src, size_t len)
{
	memcpy(VG_GUEST_RAW(void, dst), src, len);
	__asm__ volatile("" ::: "memory");
}

/* @p advanced by @bytes, keeping its type. */
#define vg_guest_offset(p, bytes) ((__typeof__(p))((uintptr_t)(p) + (uintptr_t)(bytes)))

#endif
