/* SPDX-License-Identifier: MIT */
/*
 * What lies in the slots of one ring of the control page (virtio-xen.md, section 5): does each
 * message arrive once, in order, whole, and with nothing of an earlier one? Both rings and both ends
 * follow the same rules; when to sleep and to ring is control_ring.pml's.
 *
 * A slot is two words. The memory is as weak as C and Arm have it: a processor's stores become
 * visible in any order but for stores to one word, and a release only after all that came before
 * it; loads are done in any order unless an acquire comes between. Both ends simply look again and
 * again.
 */

#define SLOTS 2
/* In place of 2^32: a multiple of SLOTS. */
#define MOD 4

#define NEXT(index) ((index + 1) % MOD)
#define DISTANCE(to, from) ((to + MOD - from) % MOD)

/* ---- the page, as all see it ---- */

byte prod, cons;
byte head[SLOTS], tail[SLOTS];

/* Message number i says so, in both words or, a short one, in the first. */
#define SAYS(index) (index + 1)
bit is_short[MOD];

/* ---- the producer's stores on their way ---- */

#define STORES 6
#define HEAD 0 /* and the slot */
#define TAIL SLOTS
#define PROD (2 * SLOTS)
byte place[STORES], value[STORES];
byte stores;

inline store(to, what)
{
	d_step {
		assert(stores < STORES);
		place[stores] = to;
		value[stores] = what;
		stores++
	}
}

/* May store number at be seen before those that came earlier? */
inline becomes_visible(at)
{
	d_step {
		i = 0;
		allowed = 1;
		do
		:: i < at ->
			if
			:: place[i] == place[at] -> allowed = 0
#ifndef MUTANT_NO_PROD_RELEASE
			:: place[i] != place[at] && place[at] == PROD -> allowed = 0
#endif
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: !allowed
		:: allowed && place[at] == PROD -> prod = value[at]
		:: allowed && place[at] >= TAIL && place[at] < PROD -> tail[place[at] - TAIL] = value[at]
		:: else -> head[place[at]] = value[at]
		fi;
		if
		:: allowed ->
			do
			:: i < stores - 1 -> place[i] = place[i + 1]; value[i] = value[i + 1]; i++
			:: else -> break
			od;
			stores--;
			place[stores] = 0;
			value[stores] = 0
		:: else
		fi;
		i = 0;
		allowed = 0
	}
}

active proctype producers_processor()
{
	byte i;
	bit allowed;

end:
	do
	:: stores > 0 -> becomes_visible(0)
	:: stores > 1 -> becomes_visible(1)
	:: stores > 2 -> becomes_visible(2)
	:: stores > 3 -> becomes_visible(3)
	:: stores > 4 -> becomes_visible(4)
	:: stores > 5 -> becomes_visible(5)
	od
}

active proctype producer()
{
	byte mine;

	do
	:: atomic { DISTANCE(mine, cons) < SLOTS && stores <= STORES - 3 ->
		if
		:: is_short[mine] = 0
		:: is_short[mine] = 1
		fi
	   }
#ifdef MUTANT_PROD_FIRST
	   store(PROD, NEXT(mine));
#endif
	   store(HEAD + mine % SLOTS, SAYS(mine));
	   if
	   :: !is_short[mine] -> store(TAIL + mine % SLOTS, SAYS(mine))
	   :: else ->
#ifndef MUTANT_NO_PADDING
		store(TAIL + mine % SLOTS, 0) /* VX-CTL-6 */
#endif
	   fi;
#ifndef MUTANT_PROD_FIRST
	   store(PROD, NEXT(mine));
#endif
	   mine = NEXT(mine)
	od
}

/* ---- the consumer ---- */

inline copy_slot(index)
{
	if
	:: first = head[index % SLOTS]; second = tail[index % SLOTS]
	:: second = tail[index % SLOTS]; first = head[index % SLOTS]
	fi
}

active proctype consumer()
{
	byte mine, first, second;

	do
	::
#ifdef MUTANT_NO_PROD_ACQUIRE
	   copy_slot(mine);
#endif
	   prod != mine;
	   assert(DISTANCE(prod, mine) <= SLOTS);
#ifdef MUTANT_NO_CONS_RELEASE
	   cons = NEXT(mine);
#endif
#ifndef MUTANT_NO_PROD_ACQUIRE
	   copy_slot(mine);
#endif
	   assert(first == SAYS(mine));
	   assert(second == (is_short[mine] -> 0 : SAYS(mine)));
	   atomic {
		mine = NEXT(mine);
#ifndef MUTANT_NO_CONS_RELEASE
		cons = mine;
#endif
		first = 0;
		second = 0
	   }
	od
}
