// SPDX-License-Identifier: MIT
/* Access to an open request's bytes, piece by piece. */
#include <vgrant/view.h>

size_t vg_request_read(const struct vg_request *request, size_t offset, void *dst, size_t len)
{
	uint8_t *to = dst;
	size_t done = 0;

	for (unsigned int i = 0; i < request->out_iovs && done < len; i++) {
		const struct vg_iov *iov = &request->iov[i];
		size_t piece;

		if (offset >= iov->len) {
			offset -= iov->len;
			continue;
		}
		piece = iov->len - offset < len - done ? iov->len - offset : len - done;
		vg_guest_copy_from(to + done, vg_guest_offset(iov->base, offset), piece);
		done += piece;
		offset = 0;
	}
	return done;
}

size_t vg_request_write(struct vg_request *request, size_t offset, const void *src, size_t len)
{
	const uint8_t *from = src;
	size_t done = 0;

	for (unsigned int i = 0; i < request->in_iovs && done < len; i++) {
		const struct vg_iov *iov = &request->iov[request->out_iovs + i];
		size_t piece;

		if (offset >= iov->len) {
			offset -= iov->len;
			continue;
		}
		piece = iov->len - offset < len - done ? iov->len - offset : len - done;
		vg_guest_copy_to(vg_guest_offset(iov->base, offset), from + done, piece);
		done += piece;
		offset = 0;
	}
	return done;
}
