/* SPDX-License-Identifier: MIT */
/*
 * Whose is a page, and until when? (virtio-xen.md, sections 3, 6 and 8.)
 *
 * A driver with a pool of one chunk, which is a region, and with direct grants: it binds, shrinks and
 * grows its pool, resets the device, closes and binds again, for as long as it likes. On the data path
 * there are two requests at a time: one that goes through the chunk, one with a page of its own.
 *
 * Four devices, chosen when the model is built; the first three are in region_device.inc:
 *
 *	PROMPT   follows the protocol; its storage answers, and an unmap is done when it returns
 *	PATIENT  follows the protocol; its storage may hang, its kernel may hold a page for longer
 *		 than the process maps it, or for ever; but the driver waits for its answers
 *	(none)   the same, and any wait of the driver may run out
 *	HOSTILE  maps all it can, lets go when it likes, says what it likes, or nothing
 */

/* One more than a connection needs, for a device that keeps pages beyond the cap. */
#ifdef HOSTILE
#define PAGES 4
#else
#define PAGES 3
#endif
#define CHUNK 2 /* pages */
#define TRIES 2 /* how often the driver asks again, be it a device or a grant */
#define CAP 1   /* with so many pages kept back, the driver grants no more */

/* What one connection can cost beyond the cap: its chunk, and the page of its direct grant. */
#ifdef MUTANT_BOUND_TOO_LOW
#define MOST_KEPT (CAP - 1 + CHUNK)
#else
#define MOST_KEPT (CAP - 1 + CHUNK + 1)
#endif

#ifdef PROMPT
#define ANSWER_MAY_RUN_OUT false
#define CLOSE_MAY_RUN_OUT false
#else
#ifdef PATIENT
#define ANSWER_MAY_RUN_OUT false
#else
#define ANSWER_MAY_RUN_OUT true
#endif
#define CLOSE_MAY_RUN_OUT true
#endif
/* In search of states nobody has to go on, so stopping for good adds nothing. */
#ifdef LIVE
#define MAY_STOP true
#else
#define MAY_STOP false
#endif
#ifdef MUTANT_NO_TIMEOUT
#define GIVE_UP false
#else
#define GIVE_UP failed = 1
#endif

/* ---- pages: whose in the guest, what Xen's grant entry allows, who has it mapped ---- */

mtype = {
	FREE,       /* the allocator's: anybody in the guest may have it next */
	POOL,       /* of the chunk */
	BUFFER,     /* of the direct request */
	QUARANTINE, /* kept until its grant ends */
	LOST        /* of a request that will never be completed */
};
mtype owner[PAGES] = FREE;
bit granted[PAGES];
byte mapped[PAGES];
byte kept; /* in QUARANTINE or LOST */

#define IS_FREE(page) (owner[page] == FREE)
#if PAGES == 4
#define FREE_PAGES (IS_FREE(0) + IS_FREE(1) + IS_FREE(2) + IS_FREE(3))
#else
#define FREE_PAGES (IS_FREE(0) + IS_FREE(1) + IS_FREE(2))
#endif

/* ---- the connection ---- */

mtype = { ADD, REMOVE, RESET, OK, BUSY, NO };
chan to_device = [1] of { mtype };
chan to_driver = [1] of { mtype }; /* for RESET: OK is status 0, BUSY any other */
bit closing;                       /* the driver's state is 5 */
bit closed;                        /* the device's is 6 */
byte chunk[CHUNK];                 /* the pages of the region */

/* ---- the virtqueue ---- */

bit running;        /* it is set up and its rings are mapped, as the device sees it */
bit rings_in_chunk; /* so it pins the region */
bit avail_pool, used_pool;
bit avail_buffer, used_buffer;
byte buffer; /* its page */

#ifdef HOSTILE
#define USED(what) true
#define CLOSED     true
#else
#define USED(what) used_##what
#define CLOSED     closed
#endif

/* ---- what an honest device has, for the properties ---- */

bit region_mapped; /* by the process, whatever its kernel still holds */
bit pool_in_region, pool_in_map, buffer_in_map; /* in flight, and how the page is reached */

#define IN_FLIGHT (pool_in_region || pool_in_map || buffer_in_map)

/* ---- the driver ---- */

bit waiting; /* it does something that has to end */
bit failed;  /* it has given the device up: nothing is sent any more */

/* A request and its response: VX-LIFE-7. */
#ifdef HOSTILE
inline call(request)
{
	answer = NO;
	if
	:: failed
	:: !failed -> answer = OK
	:: !failed -> answer = BUSY
	:: !failed
	:: !failed -> GIVE_UP /* nothing comes */
	fi
}
#else
inline call(request)
{
	answer = NO;
	if
	:: failed
	:: !failed ->
		to_device ! request;
		if
		:: to_driver ? answer
		:: ANSWER_MAY_RUN_OUT -> GIVE_UP
		fi
	fi
}
#endif

/* Again while the answer is BUSY, but not for ever: VX-RST-3. */
inline insist(request)
{
	do
	:: call(request);
	   if
	   :: failed || answer != BUSY -> break
	   :: else ->
#ifndef MUTANT_ENDLESS_TRIES
		tries++;
#endif
		if
		:: tries < TRIES
		:: else -> failed = 1; break
		fi
	   fi
	od;
	tries = 0
}

/* VX-MEM-6: whether it is in use, and the end of it, in one step. If it is, it stays as it is. */
inline end_access(page)
{
#ifdef MUTANT_CHECK_THEN_END
	ended = (mapped[page] == 0);
	if
	:: ended -> granted[page] = 0
	:: else
	fi
#else
	atomic {
		ended = (mapped[page] == 0);
		if
		:: ended -> granted[page] = 0
		:: else
		fi
	}
#endif
}

/* A page of the pool goes back to the allocator, or is kept from everyone. */
inline take_back(page)
{
#ifdef MUTANT_FREE_FIRST
	owner[page] = FREE;
#endif
	do
	::
#ifdef MUTANT_TRUST_ANSWER
	   atomic {
		if
		:: !failed -> granted[page] = 0; ended = 1
		:: else -> end_access(page)
		fi
	   };
#else
	   end_access(page);
#endif
	   atomic {
		if
		:: ended -> owner[page] = FREE; break
		:: !ended && tries < TRIES -> tries++
		:: !ended && tries == TRIES -> owner[page] = QUARANTINE; kept++; break
		fi
	   }
	od;
	atomic { tries = 0; ended = 0 }
}

/* The page of the direct request, which is completed now or never. */
inline take_buffer_back()
{
	end_access(buffer);
	atomic {
		if
#ifdef MUTANT_COMPLETE_LOST
		:: owner[buffer] = FREE
#else
		:: ended -> owner[buffer] = FREE
		:: else -> owner[buffer] = LOST; kept++; failed = 1
#endif
		fi;
		ended = 0;
		out_buffer = 0
	}
}

/* Whichever the allocator gives; to the length of a wait that is all the same. */
#ifndef LIVE
#define PASSED(page) true
#else
#define PASSED(page) (!IS_FREE(page))
#endif
inline grant_next(page, to)
{
	if
	:: IS_FREE(0) -> page = 0
	:: PASSED(0) && IS_FREE(1) -> page = 1
	:: PASSED(0) && PASSED(1) && IS_FREE(2) -> page = 2
#if PAGES == 4
	:: PASSED(0) && PASSED(1) && PASSED(2) && IS_FREE(3) -> page = 3
#endif
	fi;
	owner[page] = to;
	granted[page] = 1
}

/* A chunk for the pool. */
inline grow()
{
	atomic {
		grant_next(chunk[0], POOL);
		grant_next(chunk[1], POOL);
		has_chunk = 1
	};
	call(ADD);
	atomic {
		announced = (!failed && answer == OK);
		failed = !announced
	}
}

/* VX-MEM-13: whatever the device says, it is the grants that decide. */
inline announce_end()
{
	if
	:: announced ->
		insist(REMOVE);
		atomic {
			announced = 0;
#ifndef HOSTILE
			/* OK: no mapping of the device's is left. */
			assert(failed || !region_mapped && !pool_in_region)
#endif
		}
	:: else
	fi
}

inline drop_chunk()
{
	take_back(chunk[0]);
	take_back(chunk[1]);
	has_chunk = 0
}

/* Ends the queue, and takes back what was in it: requests fail, or are never completed. */
inline end_queue()
{
	insist(RESET);
	atomic {
#ifndef HOSTILE
		/* VX-RST-1: 0 says that nothing in flight can touch a page. */
		assert(failed || !IN_FLIGHT);
#endif
		if
		:: !failed -> avail_pool = 0; used_pool = 0; avail_buffer = 0; used_buffer = 0
		:: else
		fi;
		out_pool = 0;
		up = 0
	};
	if
	:: out_buffer -> take_buffer_back()
	:: else
	fi
}

/* Stale messages and requests are those of the old pages. */
inline fresh_connection()
{
	do
	:: to_device ? _
	:: to_driver ? _
	:: empty(to_device) && empty(to_driver) -> break
	od;
	closing = 0;
	closed = 0;
	failed = 0;
	avail_pool = 0;
	used_pool = 0;
	avail_buffer = 0;
	used_buffer = 0;
	answer = NO
}

active proctype driver()
{
	mtype answer;
	byte tries;
	bit ended, has_chunk, announced, up, out_pool, out_buffer;

bind:
	/* A device that keeps pages back does not get others. */
	if
#ifdef MUTANT_NO_CAP
	:: FREE_PAGES < CHUNK -> goto unbound
#else
	:: FREE_PAGES < CHUNK || kept >= CAP -> goto unbound
#endif
	:: else
	fi;
	atomic {
		fresh_connection();
		if
		:: rings_in_chunk = 0
		:: rings_in_chunk = 1
		fi;
		waiting = 1
	}
	grow();
set_up:
	atomic {
		up = !failed;
		running = running || up;
		waiting = 0
	}

	do
	:: failed -> break
	:: else ->
		if
		/* requests, and what becomes of them */
		:: atomic { up && announced && !out_pool -> out_pool = 1; avail_pool = 1 }
		:: atomic { up && !out_buffer && FREE_PAGES > 0 ->
			grant_next(buffer, BUFFER);
			out_buffer = 1;
			avail_buffer = 1
		   }
		:: atomic { USED(pool) -> used_pool = 0; out_pool = 0 }
		:: atomic { USED(buffer) && out_buffer -> used_buffer = 0 };
		   take_buffer_back()

		/* the pool shrinks, and gets the pages back when its requests are done: VX-MEM-5 */
		:: announced && !rings_in_chunk -> waiting = 1; announce_end(); waiting = 0
#ifdef MUTANT_DROP_IN_USE
		:: has_chunk && !announced && !(rings_in_chunk && up) ->
#else
		:: has_chunk && !announced && !out_pool && !(rings_in_chunk && up) ->
#endif
			waiting = 1; drop_chunk(); waiting = 0

		/* not while it has the rings: BUSY, and nothing has changed: VX-MEM-12 */
		:: announced && rings_in_chunk && up ->
			waiting = 1;
			call(REMOVE);
			atomic { announced = (answer == BUSY || failed); waiting = 0 }

		/* and grows */
#ifdef MUTANT_CAP_ONLY_TO_BIND
		:: !has_chunk && FREE_PAGES >= CHUNK ->
#else
		:: !has_chunk && FREE_PAGES >= CHUNK && kept < CAP ->
#endif
			waiting = 1; grow(); waiting = 0

		/* a reset, and the queue is set up anew */
		:: waiting = 1; end_queue();
		   if
		   :: !failed -> goto set_up
		   :: else -> break
		   fi
		:: break
		fi
	od;

	waiting = 1;
	if
	:: up -> end_queue()
	:: else
	fi;
	announce_end();
	closing = 1;
	if
	:: CLOSED ->
#ifndef HOSTILE
		assert(!IN_FLIGHT && !region_mapped) /* VX-LIFE-3 */
#endif
	:: CLOSE_MAY_RUN_OUT
	fi;
	if
	:: has_chunk -> drop_chunk()
	:: else
	fi;
	atomic {
#ifdef PROMPT
		/* With such a device nothing is ever lost. */
		assert(!kept && !failed);
#endif
		waiting = 0
	};
	/* The next connection begins when the device has ended this one. */
	if
	:: CLOSED -> goto bind
	:: CLOSE_MAY_RUN_OUT
	fi;
unbound:
	skip
}

#define LOOK_AGAIN(page) \
	atomic { owner[page] == QUARANTINE && !mapped[page] -> \
		granted[page] = 0; owner[page] = FREE; kept-- }

/* What is in quarantine is tried again from time to time. */
active proctype quarantine()
{
end:
	do
	:: LOOK_AGAIN(0)
	:: LOOK_AGAIN(1)
	:: LOOK_AGAIN(2)
#if PAGES == 4
	:: LOOK_AGAIN(3)
#endif
	od
}

#ifdef HOSTILE

#define MAP(page)   atomic { granted[page] && !mapped[page] -> mapped[page] = 1 }
#define UNMAP(page) atomic { mapped[page] -> mapped[page] = 0 }

/* What else it does, the driver sees at any time: answers, used buffers, its state. */
active proctype device()
{
end:
	do
	:: MAP(0)
	:: MAP(1)
	:: MAP(2)
	:: MAP(3)
	:: UNMAP(0)
	:: UNMAP(1)
	:: UNMAP(2)
	:: UNMAP(3)
	:: MAY_STOP -> break
	od
}

#else

#include "region_device.inc"
#endif

/* ---- properties ---- */

#ifdef LIVE
ltl every_wait_ends { [] <> !waiting }
#else
#define REACHED(page) (IS_FREE(page) && (granted[page] || mapped[page] > 0))
#if PAGES == 4
#define ANY_REACHED (REACHED(0) || REACHED(1) || REACHED(2) || REACHED(3))
#else
#define ANY_REACHED (REACHED(0) || REACHED(1) || REACHED(2))
#endif

/* What the allocator has, no device can touch, now or later. */
active proctype allocator()
{
end:
	atomic { ANY_REACHED -> assert(false) }
}

/* What a device can keep back is bounded, however often it comes again. */
active proctype cap()
{
end:
	atomic { kept > MOST_KEPT -> assert(false) }
}
#endif
