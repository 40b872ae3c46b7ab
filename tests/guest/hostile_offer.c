// SPDX-License-Identifier: MIT
/* Offers that the backend must turn down: what the frontend's directory and the page say. */
#include <errno.h>

#include <vgrant/guest.h>

#include "hostile.h"

/* Offers, and sees that the backend declines. */
static enum outcome offer(struct rig *rig)
{
	int err = vgg_set_frontend_state(rig->g, VG_XENBUS_INITIALISED);

	if (!err)
		err = vgg_await_connected(rig->g);
	switch (err) {
	case 0:
		return rig_wrong(rig, "the backend connected");
	case -ECONNRESET:
		return ENDED;
	default:
		return UNDECIDED;
	}
}

static enum outcome offer_with(struct rig *rig, const char *key, const char *value)
{
	if (vgg_prepare(rig->g) || vgg_set_frontend_key(rig->g, key, value))
		return rig_wrong(rig, vgg_error(rig->g));
	return offer(rig);
}

static enum outcome nothing(struct rig *rig)
{
	/* Leftovers of an earlier offer would be something. */
	if (vgg_set_frontend_key(rig->g, VG_KEY_CONTROL_REF, "") ||
	    vgg_set_frontend_key(rig->g, VG_KEY_EVENT_CHANNEL, ""))
		return rig_wrong(rig, vgg_error(rig->g));
	return offer(rig);
}

static enum outcome ref_text(struct rig *rig)
{
	return offer_with(rig, VG_KEY_CONTROL_REF, "not a number");
}

static enum outcome ref_negative(struct rig *rig)
{
	return offer_with(rig, VG_KEY_CONTROL_REF, "-1");
}

static enum outcome ref_huge(struct rig *rig)
{
	return offer_with(rig, VG_KEY_CONTROL_REF, "18446744073709551615");
}

static enum outcome ref_never_granted(struct rig *rig)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", vgg_highest_ref(rig->g) + 1000);
	return offer_with(rig, VG_KEY_CONTROL_REF, text);
}

static enum outcome ref_read_only(struct rig *rig)
{
	char text[16];

	if (vgg_share(rig->g, 1, false, &rig->ro))
		return rig_wrong(rig, vgg_error(rig->g));
	snprintf(text, sizeof(text), "%u", rig->ro.refs[0]);
	return offer_with(rig, VG_KEY_CONTROL_REF, text);
}

static enum outcome port_text(struct rig *rig)
{
	return offer_with(rig, VG_KEY_EVENT_CHANNEL, "0x10");
}

static enum outcome port_unknown(struct rig *rig)
{
	return offer_with(rig, VG_KEY_EVENT_CHANNEL, "4095");
}

static enum outcome version_unknown(struct rig *rig)
{
	return offer_with(rig, VG_KEY_VERSION, "99");
}

static enum outcome bad_magic(struct rig *rig)
{
	if (vgg_prepare(rig->g))
		return rig_wrong(rig, vgg_error(rig->g));
	vgg_control_page(rig->g)->magic = 0;
	return offer(rig);
}

static enum outcome bad_slots(struct rig *rig)
{
	if (vgg_prepare(rig->g))
		return rig_wrong(rig, vgg_error(rig->g));
	vgg_control_page(rig->g)->slots = htole16(1024);
	return offer(rig);
}

const struct hostile_case hostile_offer_cases[] = {
	{"offer-nothing", nothing, ENDED, "state 3 with empty keys"},
	{"offer-ref-text", ref_text, ENDED, "a control-ref that is no number"},
	{"offer-ref-negative", ref_negative, ENDED, "a control-ref of -1"},
	{"offer-ref-huge", ref_huge, ENDED, "a control-ref of 2^64 - 1"},
	{"offer-ref-never-granted", ref_never_granted, ENDED, "a control page never granted"},
	{"offer-ref-read-only", ref_read_only, ENDED, "a control page granted read-only"},
	{"offer-port-text", port_text, ENDED, "an event-channel that is no number"},
	{"offer-port-unknown", port_unknown, ENDED, "an event channel that does not exist"},
	{"offer-version-unknown", version_unknown, ENDED, "a version nobody speaks"},
	{"offer-bad-magic", bad_magic, ENDED, "a control page with another magic"},
	{"offer-bad-slots", bad_slots, ENDED, "a control page with another number of slots"},
	{0},
};
