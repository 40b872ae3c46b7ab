// SPDX-License-Identifier: MIT
/* A device's image, which two of our devices may have at one time only to read it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node.h"
#include "supervisor.h"

void vgd_node_close_image(struct vgd_node *node)
{
	if (node->image >= 0)
		close(node->image);
	node->image = -1;
	node->has_image = false;
}

/* Another device of ours that has the image, where one of the two writes. */
static const struct vgd_node *image_user(const struct vgd_node *node, const struct vgd_image_id *id)
{
	const struct vgd_node *other;

	for (other = node->sup->nodes; other; other = other->next) {
		if (other != node && other->has_image && vgd_image_same(&other->image_id, id) &&
		    !(other->config.read_only && node->config.read_only))
			return other;
	}
	return NULL;
}

int vgd_node_open_image(struct vgd_node *node, char *words, size_t words_size)
{
	const struct vgd_node *other;
	struct vgd_image_id id;
	int fd;

	if (vgd_image_identify(node->config.image, &id))
		memset(&id, 0, sizeof(id)); /* opening it says what is wrong */
	other = image_user(node, &id);
	if (other) {
		snprintf(words, words_size, "image %.120s is already served to %s%s",
			 node->config.image, other->label,
			 other->config.read_only ? ": attach this one read-only too"
						 : " read-write");
		return -EBUSY;
	}
	fd = vgd_image_open(node->config.image, node->config.read_only, &node->image_id, words,
			    words_size);
	if (fd < 0)
		return fd;
	node->image = fd;
	node->has_image = true;
	return 0;
}
