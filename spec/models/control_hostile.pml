/* SPDX-License-Identifier: MIT */
/*
 * One end of the control page against a peer that writes what it likes, where it likes, at any time
 * (virtio-xen.md, sections 5 and 7). The end may be the device's (one message at a time) or the
 * driver's (all that is there at once).
 *
 * The peer owns nothing: every load of the page can give any value. A message is one word, its size.
 */

#define SLOTS 2
/* In place of 2^32: there are distances that no honest peer has. */
#define MOD 8
/* Sizes from here on reach past the end of a message. */
#define TOO_LONG 2

#define NEXT(index) ((index + 1) % MOD)
#define DISTANCE(to, from) ((to + MOD - from) % MOD)

/* A load of shared memory. */
inline load(what, values)
{
	select(what : 0 .. values - 1)
}

/* ---- the end's own memory ---- */

byte prod, cons;           /* its indices: the page has copies, which are written only */
byte seen_prod, seen_cons; /* the peer's, when last looked at and found good */
bit broken;
bit in_turn;
byte puts;                 /* in this turn */

#ifdef MUTANT_READ_BACK
#define MINE(index, value) load(value, MOD)
#else
#define MINE(index, value) value = index
#endif

/* How many messages are there? VX-CTL-3, VX-CTL-4. */
inline pending(count)
{
	MINE(cons, mine);
	load(peer, MOD);
	count = DISTANCE(peer, mine);
	if
#ifndef MUTANT_NO_PROD_CHECK
	:: count > SLOTS -> broken = 1
#ifndef MUTANT_BACKWARDS
	:: count <= SLOTS && count < DISTANCE(seen_prod, mine) -> broken = 1
#endif
#endif
	:: else ->
		/* What was seen once stays true. */
		assert(DISTANCE(peer, cons) >= DISTANCE(seen_prod, cons));
		seen_prod = peer;
#ifdef MUTANT_FETCH_TWICE
		load(peer, MOD);
		count = DISTANCE(peer, cons)
#endif
	fi
}

/* How many slots are in use? */
inline used_slots(count)
{
	MINE(prod, mine);
	load(peer, MOD);
	count = DISTANCE(mine, peer);
	if
#ifndef MUTANT_NO_CONS_CHECK
	:: count > DISTANCE(mine, seen_cons) -> broken = 1
#endif
	:: else ->
		assert(count <= SLOTS);
		seen_cons = peer
	fi
}

/* The message that is next. Only its copy is looked at: VX-CTL-5. */
inline get()
{
	/* Within what was checked. */
	assert(DISTANCE(seen_prod, cons) > 0 && DISTANCE(seen_prod, cons) <= SLOTS);
	load(size, TOO_LONG + 1);
	if
	:: size >= TOO_LONG /* malformed: discarded */
	:: else ->
#ifdef MUTANT_PARSE_IN_PLACE
		load(size, TOO_LONG + 1);
#endif
		assert(size < TOO_LONG)
	fi;
	cons = NEXT(cons);
	size = 0
}

active proctype one_end()
{
	byte mine, peer, count, size, left;

end:
	do
	:: broken -> break
	:: else ->
		in_turn = 1;
		left = SLOTS; /* VX-CTL-8 */
		do
		:: left == 0 || broken -> break
		:: else ->
			pending(count);
			if
			:: broken || count == 0 -> break
			:: !broken && count > 0 -> count = 1   /* the device: the next one */
			:: !broken && left == SLOTS && count > 0 /* the driver: all there are */
			fi;
			do
			:: count > 0 ->
				get();
				count--;
#ifndef MUTANT_ENDLESS_TURN
				left = (left > 0 -> left - 1 : 0)
#endif
			:: else -> break
			od;
			/* Had it been full? Not checked: at worst a doorbell for nothing. */
			load(peer, MOD)
		od;
		/* Answers, as far as there is room. */
		do
		:: !broken && puts < SLOTS ->
			used_slots(count);
			if
			:: broken || count >= SLOTS -> break
			:: else ->
				prod = NEXT(prod);
				assert(DISTANCE(prod, seen_cons) <= SLOTS);
				puts++
			fi
		:: break
		od;
		atomic { mine = 0; peer = 0; count = 0; puts = 0; in_turn = 0 }
	od;
	in_turn = 0
}

#ifdef LIVE
ltl every_turn_ends { [] <> !in_turn }
#endif
