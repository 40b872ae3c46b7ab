/* SPDX-License-Identifier: MIT */
/*
 * The control page's two rings and their doorbells (virtio-xen.md, sections 5 and 7): is a wake-up
 * ever lost? What lies in the slots is control_slots.pml's, a peer that lies is
 * control_hostile.pml's.
 *
 * Three processors: the driver sends on one and takes its interrupts on another, the device does
 * all on a third. Each has a store buffer: what it stores in the page is seen by the others later,
 * in order (every store of an index is a release), and its own loads do not wait for that. Only a
 * full barrier does. This is the reordering that matters here; x86 has it as well as Arm.
 *
 * An event channel is one bit. Who rings makes its stores visible first, and who clears the bit does
 * so before its next load (README.md, "What is assumed").
 *
 * Both ends may fall silent for good at any point: then everything has to be done, or a wake-up was
 * lost. They need not, and then LTL says that nothing waits for ever while others go on.
 */

#define SLOTS 2

/*
 * A ring as three numbers, in place of four indices of which only the distances matter:
 *
 *	fresh	 put, but the consumer cannot see it yet	the producer's own prod - prod
 *	waiting	 can be taken					prod - the consumer's own cons
 *	gone	 taken, but the producer cannot see it yet	the consumer's own cons - cons
 *
 * The producer finds fresh + waiting + gone slots in use.
 */
typedef slots {
	byte fresh, waiting, gone
};

slots requests; /* driver_ring */
slots answers;  /* device_ring */

#define USED(ring) (ring.fresh + ring.waiting + ring.gone)

bit bell_at_device, bell_at_driver; /* the event channel's two ends */

bit woken;       /* in the guest: the interrupt handler woke who sleeps in sender() */
bit asleep;      /* the sender waits for room */
bit owed;        /* the device has an event to send */
bit quiet;       /* no event of the device's own accord will come any more */
bit sender_done; /* it will send no more */
bit took_request, took_answer; /* a step ago */

/* ---- store buffers ---- */

/* The device stores two indices; in which order is to be known. */
mtype = { PROD, CONS };
chan device_stores = [2 * SLOTS + 1] of { mtype };

active proctype device_processor()
{
end:
	do
	:: atomic { device_stores ? PROD -> answers.fresh--; answers.waiting++ }
	:: atomic { device_stores ? CONS -> requests.gone-- }
	od
}

active proctype sender_processor()
{
end:
	do
	:: atomic { requests.fresh > 0 -> requests.fresh--; requests.waiting++ }
	od
}

/* One store says how many were taken. */
active proctype irq_processor()
{
end:
	do
	:: atomic { answers.gone > 0 -> answers.gone = 0 }
	od
}

#define DEVICE_BARRIER (empty(device_stores))
#define SENDER_BARRIER (requests.fresh == 0)
#define IRQ_BARRIER    (answers.gone == 0)

/* ---- the driver: virtio_msg_xen_ring.c ---- */

inline ring_device()
{
#ifdef MUTANT_BELL_BEFORE_STORE
	bell_at_device = 1;
#else
	atomic { SENDER_BARRIER -> bell_at_device = 1 };
#endif
	unrung = 0
}

/* Requests, whether they are answered or not. Rings after each or after several: VX-BELL-1. */
active proctype sender()
{
	bit unrung;

look:
	atomic {
		woken = 0; /* whoever wakes from now on is noticed */
		if
		:: USED(requests) < SLOTS -> goto room
		:: else
		fi
	}
#ifndef MUTANT_NO_RECHECK
	atomic {
#ifndef MUTANT_NO_SENDER_BARRIER
		SENDER_BARRIER;
#endif
		if
		:: USED(requests) < SLOTS -> goto room
		:: else
		fi
	}
#endif
	if
	:: unrung -> ring_device()
	:: else
	fi;
	asleep = 1;
	atomic { woken -> asleep = 0; goto look }
room:
	if
	:: atomic { requests.fresh++; unrung = 1 };
	   if
	   :: ring_device(); goto look
	   :: goto look
	   fi
	:: skip
	fi;
	if
	:: unrung -> ring_device()
	:: else
	fi;
	sender_done = 1
}

/* Takes all that is there and then says so. */
active proctype irq()
{
	byte count;
	bit brim;

end:
	atomic {
		bell_at_driver ->
#ifndef MUTANT_CLEAR_LATE
		bell_at_driver = 0 /* VX-BELL-4 */
#endif
	}
	atomic {
#ifdef MUTANT_DRIVER_HOLDS_BACK
		/* Takes nothing while it could not send: VX-CTL-7 is the device's alone. */
		if
		:: USED(requests) == SLOTS -> goto wake
		:: else
		fi;
#endif
		count = answers.waiting;
		answers.waiting = 0;
		answers.gone = answers.gone + count;
		took_answer = (count > 0);
		brim = (count == SLOTS)
	}
	if
	:: count > 0 ->
#ifndef MUTANT_STALE_PROD
		atomic {
#ifndef MUTANT_NO_IRQ_BARRIER
			IRQ_BARRIER;
#endif
			brim = (answers.waiting + count == SLOTS)
		}
#endif
#ifndef MUTANT_NO_ROOM_BELL
		if
		:: brim -> atomic { IRQ_BARRIER -> bell_at_device = 1 }
		:: else
		fi
#endif
	:: else
	fi;
wake:
	atomic {
#ifdef MUTANT_CLEAR_LATE
		bell_at_driver = 0;
#endif
#ifdef MUTANT_WAKE_UNLESS_USED
		/* An event came along with the doorbell for room, and nothing else wakes. */
		woken = woken || count == 0;
#else
		woken = 1;
#endif
		took_answer = 0;
		count = 0;
		brim = 0;
		goto end
	}
}

/* ---- the device: control.c, conn.c ---- */

/* have_room(): notes in blocked that the driver owes a doorbell. */
inline have_room()
{
	atomic { blocked = (USED(answers) == SLOTS) };
#ifndef MUTANT_NO_DEVICE_RECHECK
	if
#ifdef MUTANT_NO_DEVICE_ROOM_BARRIER
	:: blocked -> blocked = (USED(answers) == SLOTS)
#else
	:: blocked -> atomic { DEVICE_BARRIER -> blocked = (USED(answers) == SLOTS) }
#endif
	:: else
	fi
#endif
}

inline put()
{
	answers.fresh++;
	device_stores ! PROD;
	bell = 1
}

inline send_event()
{
	if
	:: owed ->
		have_room();
		if
		:: atomic { !blocked -> put(); owed = 0 }
		:: else
		fi
	:: else
	fi
}

active proctype device()
{
	byte count;
	bit bell, blocked;

end_wait:
	if
	:: atomic { bell_at_device -> bell_at_device = 0 }
	:: atomic { !quiet && !owed -> owed = 1 }
	:: atomic { !quiet -> quiet = 1; goto end_wait }
	fi;
serve:
	send_event();
#ifndef MUTANT_ANSWERS_FIRST
	/* What is owed has the next free slot, or answers could take each for ever. */
	if
	:: owed && blocked -> goto rest
	:: else
	fi;
#endif
	do
	:: count == SLOTS -> break /* VX-CTL-8 */
	:: else ->
#ifndef MUTANT_TAKE_WITHOUT_ROOM
		have_room();
#endif
		if
		:: blocked -> break /* VX-CTL-7 */
		:: else
		fi;
		atomic {
			if
			:: requests.waiting == 0 -> break
			:: else
			fi;
			requests.waiting--;
			requests.gone++;
			device_stores ! CONS;
			took_request = 1
		}
		atomic {
#ifndef MUTANT_NO_DEVICE_TAKEN_BARRIER
			DEVICE_BARRIER;
#endif
			/* Was it full before this one was taken? */
			bell = bell || requests.waiting + 1 >= SLOTS;
			took_request = 0;
			count++;
			if
			:: put() /* the answer; only the driver changes that there is room */
			:: skip  /* the driver's event has none */
			fi;
			if
			:: !quiet && !owed -> owed = 1 /* what was asked for changed the device */
			:: skip
			fi
		}
	od;
	send_event();
rest:
	if
	:: bell -> atomic { DEVICE_BARRIER -> bell_at_driver = 1; bell = 0 }
	:: else
	fi;
	/* A doorbell comes only when the last look found no room, and none for what is there. */
	atomic {
		if
#ifdef MUTANT_BLOCKED_FORGETS
		:: count == SLOTS && !blocked && requests.waiting > 0 -> count = 0; goto serve
#else
		:: !blocked && requests.waiting > 0 -> count = 0; goto serve
#endif
		:: else -> count = 0; blocked = 0; goto end_wait
		fi
	}
}

/* ---- properties ---- */

#ifndef LIVE
/* When nobody can do anything any more, everything has been done. */
active proctype nothing_forgotten()
{
	timeout ->
	assert(USED(requests) == 0 && USED(answers) == 0);
	assert(sender_done && !asleep && !owed)
}

/* Nobody is ever more than a ring ahead. */
active proctype in_range()
{
end:
	atomic { USED(requests) > SLOTS || USED(answers) > SLOTS -> assert(false) }
}
#else
/*
 * With traffic that never ends. Rings are first in, first out: each message gets its turn. Only a
 * device that has something to say of its own accord for ever may keep requests waiting.
 */
ltl served {
	[] <> (requests.waiting == 0 || took_request || !quiet) &&
	[] <> (answers.waiting == 0 || took_answer) &&
	[] <> !asleep && [] <> !owed
}
#endif
