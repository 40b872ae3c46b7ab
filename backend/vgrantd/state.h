/* SPDX-License-Identifier: MIT */
/*
 * The file that a virtio-mmio device's registers are kept in: a page that says what it is, in text,
 * and has the number of the IOREQ server; then struct vg_mmio_state. A vgrantd that was killed left
 * it as it was at that instant, and the next one goes on from there.
 */
#ifndef VGRANTD_STATE_H
#define VGRANTD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VGD_STATE_OFFSET 4096 /* of struct vg_mmio_state */
#define VGD_TOKEN_MAX    17

/*
 * Opens the state called @name in @dir, which is made when it is missing. With the @token that it
 * was made with it is what an earlier vgrantd left; otherwise (and when @token is "") it is made
 * anew, zero, and @token is set. Returns the descriptor, the caller's, or negative errno. *kept
 * says which it was. Blocks for the file system.
 */
int vgd_state_open(const char *dir, const char *name, char token[VGD_TOKEN_MAX], bool *kept);
/*
 * The number of the guest's IOREQ server, kept in the file @fd as soon as there is one: a worker
 * that ends before it has told anybody leaves no server that nobody knows. Negative errno.
 */
int vgd_state_keep_server(int fd, uint16_t id);
/* That number, of the file that was made with @token; VG_IOREQ_NONE: there is none. */
uint32_t vgd_state_server(const char *dir, const char *name, const char *token);
/* The device has gone. */
void vgd_state_remove(const char *dir, const char *name);

#endif
