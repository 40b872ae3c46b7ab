/* SPDX-License-Identifier: MIT */
/* virtio-mmio in place of virtio-msg: what the other parts of libvgguest call. */
#ifndef VGGUEST_MMIO_H
#define VGGUEST_MMIO_H

#include <stdint.h>

struct vg_msg;
struct vgg;

/* Takes vCPU @vcpu, and interrupt line @line (0: interrupts come by an event channel). */
int vgg_mmio_open(struct vgg *g, unsigned int vcpu, unsigned int line, uint64_t base);
void vgg_mmio_close(struct vgg *g);

/* Does with registers what the message asks for. */
int vgg_mmio_request(struct vgg *g, const struct vg_msg *req, struct vg_msg *resp);
int vgg_mmio_kick(struct vgg *g, uint16_t index);
/* -1: none. */
int vgg_mmio_irq_fd(const struct vgg *g);
/* What an interrupt handler does: reads and acknowledges what it was for. */
int vgg_mmio_interrupt(struct vgg *g);

#endif
