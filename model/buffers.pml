/*
 * Buffers and queue pairs of sluice: who may touch a staging slot, a write's source or a read's target, and when. It checks
 *
 *   invariant 8: no buffer or slot is reused while a live queue pair or an executing entry can reach it.
 *
 * The cast.
 *   Client     one buffer, the source of writes and the target of reads. Each IO is one *use* of it, numbered 1, 2, ... Of an IO
 *              there may be one attempt on each live queue pair. It gives up, kills queue pairs, makes new ones, completes.
 *   Node       two slots of staging memory, each granted on one queue pair at a time. Admits, works, answers, tears down,
 *              grants again.
 *   Fabric(q)  queue pair q's wire. A one-sided WRITE and the SEND behind it move *apart*.
 *
 * How to read it.
 * - A step is a `d_step`: it happens at once, and anything may come between two steps.
 * - A queue pair is made once, and never reused. Each of its two ends is none, ready, error or gone. An end in error may go on
 *   moving what it already has, in and out, until it is gone: only the flush and the destruction are proof. Either end fails
 *   at any time; the other needn't notice.
 * - What the client posts on q goes through up[q]: posted, WRITE on the wire, SEND posted (the WRITE has landed), SEND on the
 *   wire. The NIC reads the source as it puts the WRITE on the wire. What is posted goes with its own end; what is on the wire
 *   outlives it, and is dropped at an end that is gone.
 * - What the node does for the attempt goes through down[q]: executing, data posted, data on the wire, response on the wire,
 *   answered. A read's data is WRITTEN into the client's buffer as it comes off the wire.
 * - Left out: sequence numbers and fences (sluice.pml has those), and more than one slot a queue pair: slots don't share.
 *
 * The assertions look at the memory, at the moment that something reaches it: whom is the slot granted to *now*, which use is the
 * client's buffer at *now*, is what the backend consumed what was sent for it. No rule reads the ghosts.
 *
 * Rules that -D switches off, each of which must then break invariant 8:
 *   RECYCLE_ON_TIMEOUT      C3: at a time-out the client takes slot and buffer back, the queue pair lives on
 *   COMPLETE_ON_ONE_ANSWER  C3: it completes at the first answer, another attempt is out on another queue pair
 *   REUSE_BEFORE_FLUSH      C3: it takes them back when the queue pair is in error, and not yet flushed and destroyed
 *   ANSWER_ANYWHERE         R2: a read's data goes out on any live queue pair, not on that of the attempt
 *   NO_PIN                  R3: the slot is granted again while an executing entry refers to it
 *   GRANT_BEFORE_DESTROY    R4: the slot is granted again when the queue pair is in error, and not yet destroyed
 */

#ifndef QPS
#define QPS 3 /* queue pairs ever made, 2 .. 4 */
#endif
#ifndef USES
#define USES 3 /* IOs, one after the other, through the client's buffer */
#endif

#define NO_SLOT 0
#define NO_QP 0
#define NO_USE 0

/* A failing assertion prints the name. The names are never true; -Dname=1 leaves that invariant out. */
#define INVARIANT(name, condition) assert((condition) || name)
#ifndef inv8_slot_written_through_an_older_grant
bit inv8_slot_written_through_an_older_grant;
#endif
#ifndef inv8_slot_sent_through_an_older_grant
bit inv8_slot_sent_through_an_older_grant;
#endif
#ifndef inv8_slot_changed_while_executing
bit inv8_slot_changed_while_executing;
#endif
#ifndef inv8_source_reused_while_the_nic_reads_it
bit inv8_source_reused_while_the_nic_reads_it;
#endif
#ifndef inv8_target_written_after_reuse
bit inv8_target_written_after_reuse;
#endif

mtype = { none, ready, error, gone };
mtype client_end[QPS + 1] = none;
mtype node_end[QPS + 1] = none;
byte made; /* queue pairs made so far */

mtype = { idle, posted, write_on_wire, send_posted, send_on_wire };
mtype = { executing, data_posted, data_on_wire, response_on_wire, response_here };
mtype up[QPS + 1] = idle;
byte up_use[QPS + 1];
mtype down[QPS + 1] = idle;
byte down_use[QPS + 1];
byte data_for[QPS + 1]; /* with ANSWER_ANYWHERE: the use of a read's data that travels on this queue pair for another one */

/* Client. */
byte use;               /* the IO in progress; the buffer is its own */
bit busy, reading;      /* an IO is in progress; it is a read */
bit have_answer;
byte attempt[QPS + 1];  /* the use of the attempt on this queue pair that isn't retired */

/* Node. */
byte slot_of[QPS + 1];  /* fixed when the queue pair is made: its slot's memory, region and rkey (R1) */
bit slot_given_back[QPS + 1];

/* The two slots: the queue pair that each is granted on now; that is what a grant means, whatever reaches the memory. */
byte granted_to[3];

/* Ghosts. */
byte content[3];        /* for which use of the client's buffer its data is */
bit is_read[USES + 1];

/* ---- Client ------------------------------------------------------------------------------------------------------------- */

/* Another queue pair, with a free slot granted in the answer. */
inline attach(p) {
  d_step { made < QPS && granted_to[p] == NO_QP ->
    made++;
    client_end[made] = ready;
    node_end[made] = ready;
    slot_of[made] = p;
    granted_to[p] = made
  }
}

inline start(read) {
  d_step { !busy && use < USES ->
    use++;
    busy = 1;
    reading = read;
    is_read[use] = read;
    have_answer = 0
  }
}

/* A first attempt or a retry: one attempt a queue pair. A read has no WRITE of its own. */
inline post(q) {
  d_step { busy && !have_answer && client_end[q] == ready && attempt[q] == NO_USE && up[q] == idle ->
    attempt[q] = use;
    up_use[q] = use;
    up[q] = (reading -> send_posted : posted)
  }
}

inline take_response(q) {
  d_step { client_end[q] == ready && down[q] == response_here ->
    if :: attempt[q] == down_use[q] && attempt[q] == use -> have_answer = 1 :: else fi;
    if :: attempt[q] == down_use[q] -> attempt[q] = NO_USE :: else fi; /* C3: answered on its own queue pair */
    down[q] = idle;
    down_use[q] = NO_USE
  }
}

inline client_kills(q) {
  d_step { client_end[q] == ready -> client_end[q] = error }
}

/* Flushed, then destroyed: what is posted and not on the wire never will be. */
inline client_destroys(q) {
  d_step { client_end[q] == error ->
    client_end[q] = gone;
    attempt[q] = NO_USE; /* C3: retired with its queue pair */
    if :: up[q] == posted || up[q] == send_posted -> up[q] = idle; up_use[q] = NO_USE :: else fi
  }
}

#ifdef REUSE_BEFORE_FLUSH
#define RETIRED(q) (attempt[q] == NO_USE || client_end[q] == error)
#else
#define RETIRED(q) (attempt[q] == NO_USE)
#endif
#ifdef COMPLETE_ON_ONE_ANSWER
#define MAY_COMPLETE have_answer
#else
#define MAY_COMPLETE (RETIRED(1) && RETIRED(2) && RETIRED((QPS > 2 -> 3 : QPS)) && RETIRED(QPS))
#endif

/* C3: to the caller, and on to the next use of the buffer, when every attempt is retired. (C2: without an answer only in a
 * newer session; for the buffer it is all the same.) */
inline complete() {
  d_step { busy && MAY_COMPLETE -> busy = 0 }
}

#ifdef RECYCLE_ON_TIMEOUT
inline recycle(q) {
  d_step { attempt[q] != NO_USE -> attempt[q] = NO_USE }
}
#endif

proctype Client() {
end:
  do
  :: attach(1)
  :: attach(2)
  :: start(0)
  :: start(1)
  :: complete()
  :: post(1) :: take_response(1) :: client_kills(1) :: client_destroys(1)
  :: post(2) :: take_response(2) :: client_kills(2) :: client_destroys(2)
#if QPS > 2
  :: post(3) :: take_response(3) :: client_kills(3) :: client_destroys(3)
#endif
#if QPS > 3
  :: post(4) :: take_response(4) :: client_kills(4) :: client_destroys(4)
#endif
#ifdef RECYCLE_ON_TIMEOUT
  :: recycle(1)
  :: recycle(2)
#endif
  od
}

/* ---- Fabric ------------------------------------------------------------------------------------------------------------- */

#define MOVES(end) ((end) == ready || (end) == error)

inline put_write_on_wire(q) {
  d_step { up[q] == posted && MOVES(client_end[q]) ->
    INVARIANT(inv8_source_reused_while_the_nic_reads_it, busy && up_use[q] == use);
    up[q] = write_on_wire
  }
}

inline land_write(q) {
  d_step { up[q] == write_on_wire && MOVES(node_end[q]) ->
    INVARIANT(inv8_slot_written_through_an_older_grant, granted_to[slot_of[q]] == q);
    content[slot_of[q]] = up_use[q];
    if
    :: client_end[q] == gone -> up[q] = idle; up_use[q] = NO_USE /* the SEND behind it was flushed */
    :: else -> up[q] = send_posted
    fi
  }
}

inline put_send_on_wire(q) {
  d_step { up[q] == send_posted && MOVES(client_end[q]) -> up[q] = send_on_wire }
}

/* The header is in memory of the node's alone. From here the node owns the slot. One header waits if the node is at work. */
inline land_send(q) {
  d_step { up[q] == send_on_wire && node_end[q] == ready && down[q] == idle ->
    down[q] = executing;
    down_use[q] = up_use[q];
    up[q] = idle;
    up_use[q] = NO_USE
  }
}

inline drop_at_gone_end(q) {
  d_step { (up[q] == write_on_wire || up[q] == send_on_wire) && node_end[q] == gone -> up[q] = idle; up_use[q] = NO_USE }
}

inline put_data_on_wire(q) {
  d_step { down[q] == data_posted && MOVES(node_end[q]) ->
    INVARIANT(inv8_slot_sent_through_an_older_grant, granted_to[slot_of[q]] == q);
    down[q] = data_on_wire
  }
}

inline land_data(q) {
  d_step { down[q] == data_on_wire && MOVES(client_end[q]) ->
    INVARIANT(inv8_target_written_after_reuse, busy && down_use[q] == use);
    down[q] = response_on_wire
  }
}

#ifdef ANSWER_ANYWHERE
inline land_stray_data(q) {
  d_step { data_for[q] != NO_USE && MOVES(client_end[q]) ->
    INVARIANT(inv8_target_written_after_reuse, busy && data_for[q] == use);
    data_for[q] = NO_USE
  }
}
#endif

inline land_response(q) {
  d_step { down[q] == response_on_wire && client_end[q] == ready -> down[q] = response_here }
}

inline drop_at_gone_client(q) {
  d_step { (down[q] == data_on_wire || down[q] == response_on_wire || down[q] == response_here) && client_end[q] == gone ->
    down[q] = idle;
    down_use[q] = NO_USE
  }
}

proctype Fabric(byte q) {
end:
  do
  :: put_write_on_wire(q)
  :: land_write(q)
  :: put_send_on_wire(q)
  :: land_send(q)
  :: drop_at_gone_end(q)
  :: put_data_on_wire(q)
  :: land_data(q)
  :: land_response(q)
  :: drop_at_gone_client(q)
#ifdef ANSWER_ANYWHERE
  :: land_stray_data(q)
#endif
  od
}

/* ---- Node --------------------------------------------------------------------------------------------------------------- */

/* The backend is done: with the slot's data, if it was a write. The answer goes to the attempt's queue pair alone (R2). */
inline finish(q) {
  d_step { down[q] == executing ->
    INVARIANT(inv8_slot_changed_while_executing, is_read[down_use[q]] || content[slot_of[q]] == down_use[q]);
    if
    :: node_end[q] != ready -> down[q] = idle; down_use[q] = NO_USE
    :: else -> down[q] = (is_read[down_use[q]] -> data_posted : response_on_wire)
    fi
  }
}

#ifdef ANSWER_ANYWHERE
inline finish_elsewhere(q, other) {
  d_step { down[q] == executing && is_read[down_use[q]] && node_end[other] == ready && data_for[other] == NO_USE ->
    data_for[other] = down_use[q];
    down[q] = idle;
    down_use[q] = NO_USE
  }
}
#endif

inline node_kills(q) {
  d_step { node_end[q] == ready -> node_end[q] = error }
}

inline node_destroys(q) {
  d_step { node_end[q] == error ->
    node_end[q] = gone;
    if :: down[q] == data_posted -> down[q] = idle; down_use[q] = NO_USE :: else fi
  }
}

#ifdef GRANT_BEFORE_DESTROY
#define UNREACHABLE(q) (node_end[q] == error || node_end[q] == gone)
#else
#define UNREACHABLE(q) (node_end[q] == gone) /* R4 */
#endif
#ifdef NO_PIN
#define PINNED(q) false
#else
#define PINNED(q) (down[q] == executing) /* R3 */
#endif

/* The slot's memory is deregistered and may be granted again. */
inline give_slot_back(q) {
  d_step { slot_of[q] != NO_SLOT && !slot_given_back[q] && UNREACHABLE(q) && !PINNED(q) ->
    slot_given_back[q] = 1;
    granted_to[slot_of[q]] = NO_QP
  }
}

proctype Node() {
end:
  do
  :: finish(1) :: node_kills(1) :: node_destroys(1) :: give_slot_back(1)
  :: finish(2) :: node_kills(2) :: node_destroys(2) :: give_slot_back(2)
#if QPS > 2
  :: finish(3) :: node_kills(3) :: node_destroys(3) :: give_slot_back(3)
#endif
#if QPS > 3
  :: finish(4) :: node_kills(4) :: node_destroys(4) :: give_slot_back(4)
#endif
#ifdef ANSWER_ANYWHERE
  :: finish_elsewhere(1, 2)
  :: finish_elsewhere(2, 1)
#endif
  od
}

init {
  atomic {
    run Client();
    run Node();
    run Fabric(1);
    run Fabric(2);
#if QPS > 2
    run Fabric(3);
#endif
#if QPS > 3
    run Fabric(4);
#endif
  }
}
