/*
 * Sessions, windows and fences of sluice, checked exhaustively. `model/README.md` has the results; `./check` runs it.
 *
 * The cast. One volume of two blocks; two clients A and B; one storage node and its backend; two masters, one store.
 *   Client(c)     opens, steals, submits writes (and one read), retries, reopens, crashes and comes back under its own id.
 *   Network(s)    the paths of session s: what carries its requests to the node.
 *   Node          verifies, fences, admits, crashes, restarts.
 *   Backend(s)    finishes what was submitted for session s, in any order, as late as it likes.
 *   Master(m)     opens and verifies; takes over; starts from an old copy of the store.
 *
 * How to read it.
 * - A step is a `d_step`: it happens at once. Everything between two steps may be interleaved with everything else.
 * - A path may delay, repeat, reorder and lose. So a request is a bit in a set: once sent it stays there and may arrive at
 *   any later time, any number of times, or never, at whichever process is then the node. That covers every number of paths,
 *   a retry on one path while the first copy is still on another, and copies that outlive their connection. A set holds one
 *   bit for each (session, seq, low): a retry carries the client's `low` of that moment.
 *   With -DLIVENESS an arrival takes the copy away and losses are counted, so that "eventually" means something.
 * - The backend is the set of writes in flight. Each lands at any time: also after the process that submitted it is dead,
 *   unless a rule holds its successor off until the set is empty.
 * - A block holds the number of the write that landed last (at first 0 and IOS + 1: as they were). The number names what the *caller* wrote: it stays
 *   the same when the write is resubmitted in a later session.
 * - A session is numbered by its place among all opens ever committed (1, 2, ...). Nobody compares these numbers: node,
 *   master and client compare the global version, `gvn_of[session]`, alone.
 * - Time-outs have no clock: whoever may give up, may give up at any moment.
 *
 * Rules that -D switches off, each of which must then break an invariant:
 *   NO_WINDOW, NO_GVN_CHECK, NO_DRAIN, NO_PROCESS_LOCK, NO_DURABLE_FENCE, NO_C1, NO_C4, NO_W2 (the node moves the base itself),
 *   NO_W7 (no second look at the session), NO_P1 (a deposed master's commits aren't refused), and the parts of the hello:
 *   NO_HELLO, NO_HELLO_HOLDER, NO_HELLO_FENCE, NO_HELLO_WAIT. NO_OPEN_RETRY, NO_READ_APART, NO_ACK_AGAIN: see where they are used.
 *
 * Invariants are asserted on ghost variables, which no rule reads. INVARIANT(name, condition) prints its name when it fails;
 * -Dname=1 leaves it out, to let a run go on to a later effect of the same fault.
 */

/* ---- Sizes ------------------------------------------------------------------------------------------------------------ */

#ifndef SESSIONS
#define SESSIONS 3     /* opens that a master may commit, at most 5 */
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef IOS_A
#define IOS_A 2        /* writes that A's caller issues, at most 3 */
#endif
#ifndef IOS_B
#define IOS_B 1        /* writes that B's caller issues */
#endif
#ifndef BLOCKS
#define BLOCKS 2       /* 1: every IO overlaps every other */
#endif
#ifndef NODE_CRASHES
#define NODE_CRASHES 1
#endif
#ifndef STEALS
#define STEALS 1
#endif
#ifndef CLIENT_CRASHES
#define CLIENT_CRASHES 0
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 0    /* times that the other master takes over */
#endif
#ifndef RESTORES
#define RESTORES 0     /* 1: a master may start from an old copy of the store */
#endif
#ifndef LOSSES
#define LOSSES 0       /* with LIVENESS: messages lost before the faults stop */
#endif
#ifdef READ
#define READ_IO 1      /* A's IO 1 is a read */
#else
#define READ_IO 0
#endif

/* Parts of guards and steps that belong to one kind of run alone. */
#ifdef LIVENESS
#define IF_LIVE(condition) && (condition)
#define IF_SAFE(condition)
#else
#define IF_LIVE(condition)
#define IF_SAFE(condition) && (condition)
#endif

#define W 2            /* window size */
#define IOS (IOS_A + IOS_B)
#define NONE 0
#define NOBODY 0
#define NO_SESSION 0
#define BIT(i) (1 << (i))

/* ---- Invariants --------------------------------------------------------------------------------------------------------- */

#define INVARIANT(name, condition) assert((condition) || name)

#ifndef inv1_no_effect_after_newer_session
bit inv1_no_effect_after_newer_session;
#endif
#ifndef inv3_runs_once
bit inv3_runs_once;
#endif
#ifndef inv3_overwritten_value_comes_back
bit inv3_overwritten_value_comes_back;
#endif
#ifndef inv4_acknowledged_overwritten_by_older
bit inv4_acknowledged_overwritten_by_older;
#endif
#ifndef inv5_read_is_stale
bit inv5_read_is_stale;
#endif
#ifndef inv6_gvn_given_twice_or_falls
bit inv6_gvn_given_twice_or_falls;
#endif
#ifndef inv6_gvn_accepted_twice_or_falls
bit inv6_gvn_accepted_twice_or_falls;
#endif
#ifndef inv7_executing_entry_evicted
bit inv7_executing_entry_evicted;
#endif
#ifndef inv7_repeat_refused
bit inv7_repeat_refused;
#endif
#ifndef inv9_fence_not_durable
bit inv9_fence_not_durable;
#endif
#ifndef inv10_acknowledged_but_not_written
bit inv10_acknowledged_but_not_written;
#endif
#ifndef c4_fenced_client_came_back
bit c4_fenced_client_came_back;
#endif
#ifndef c4_holder_turned_away
bit c4_holder_turned_away;
#endif

/* ---- State -------------------------------------------------------------------------------------------------------------- */

/* Global versions: manager version << 4 | open version, compared as a whole. */
#define GVN(mv, ov) ((mv) << 4 | (ov))
#define MANAGER_VERSION(gvn) ((gvn) >> 4)

/* What every open handed out; written once. An opening is a client and the nonce of one run of it: 1 + 2 * nonce + client. */
byte gvn_of[SESSIONS + 1];
byte opening_of[SESSIONS + 1];
byte sessions_given;

/* The master's store: every commit writes it whole. P2: the holder is the opening of `current`. */
byte store_mv = 1, store_ov, store_current;
byte copy_mv, copy_ov, copy_current; /* the backup, copy_mv = 0: none yet */
bit leader;                          /* the master whose manager version the store holds */
bit greeted = 1;                     /* the leader has exchanged hellos with the volume's node */
byte takeovers = TAKEOVERS, restores = RESTORES;
#ifdef NO_P1
byte deposed_mv, deposed_ov, deposed_current; /* what the deposed master believes */
#endif

/* Clients. */
mtype = { closed, opening, connecting, running, fenced };
mtype phase[2] = closed;
bit nonce[2];
byte session[2];     /* in which this client's outstanding IOs were sent */
byte new_session[2]; /* the one that it is establishing */
byte low[2], next[2];
bit answered_above_low[2]; /* low + 1 has its answer, low hasn't */
byte steals = STEALS, client_crashes = CLIENT_CRASHES;

/* IOs, numbered 1 .. IOS, as sets: not yet issued; issued and unanswered; of those, sent in the client's present session;
 * answered. A client that crashes forgets its unanswered IOs: they are in none of the sets. */
#define ALL_IOS (BIT(IOS + 1) - 2)
byte todo = ALL_IOS, pending, placed, acknowledged;
byte second_block; /* IOs that go to block 1; the rest go to block 0 */
byte io_of[(SESSIONS + 1) * 4]; /* which IO a (session, seq) carries */

#define IOS_OF_A (BIT(IOS_A + 1) - 2)
#define IOS_OF_B (ALL_IOS & ~IOS_OF_A)
#define IOS_OF(c) (c == 0 -> IOS_OF_A : IOS_OF_B)
#define OPENING_OF(c, n) (1 + 2 * (n) + (c))
#define IO_OF(s, seq) io_of[(s) * 4 + (seq)]
#define BLOCK_OF(io) (second_block & BIT(io) -> 1 : 0)
#define ON_BLOCK(b) ((b) == 0 -> ~second_block : second_block)

/* Messages on their way. */
mtype = { plain, steal };
mtype open_request[2];  /* 0: none */
bit open_nonce[2];
byte open_previous[2];  /* the previous GVN that the request states, as a session */
byte open_answer[2];    /* a session, or: */
#define BUSY 255
byte session_opens;     /* sets of sessions: asked of the node, */
byte verified;          /* confirmed by a master to the node, */
byte session_acks;      /* acknowledged by the node, */
byte refused;           /* refused by the node (LIVENESS only: else a client reopens when it likes) */
byte requests[SESSIONS + 1]; /* sets of BIT(2 * seq + (seq - low)) */
byte answers[SESSIONS + 1];  /* sets of seqs */
byte read_values[SESSIONS + 1]; /* what the answers to the read brought: a set of IOs */
byte losses = LOSSES;

/* The node. */
bit node_up = 1;
byte fence;         /* durable: the session (its GVN and its opening) fenced for last */
byte node_mv = 1;   /* durable: the highest manager version that said hello */
byte node_session;  /* the active session */
byte candidate;     /* the session being opened, from verification to acknowledgement */
byte base = 1;      /* window: lowest seq it remembers; sets of seqs claimed and done */
byte claimed, done;
byte core_session, core_seq, core_low; /* a request that passed the session check and hasn't been admitted yet */
byte node_crashes = NODE_CRASHES;

/* The backend: sets of seqs. The node knows nothing of the orphans, which a process left behind that is dead. */
byte in_flight[SESSIONS + 1];
byte orphans[SESSIONS + 1];
byte disk[2];

/* For each session: `a` of SESSIONS that don't exist is that of the last one. */
#define ALL(a) (a(1) && a(2) && a((SESSIONS > 2 -> 3 : SESSIONS)) && a((SESSIONS > 3 -> 4 : SESSIONS)) && a(SESSIONS))
#define NO_ORPHAN_OF(s) (orphans[s] == 0)
#define FINISHED(s) ((in_flight[s] & ~orphans[s]) == 0)

/* Ghosts: read by invariants alone. */
byte newest_given;       /* highest GVN that a master handed out */
byte newest_acked;       /* the session that the node acknowledged with the highest GVN */
byte overwritten;        /* IOs whose value was on a block and was replaced */
byte disk_session[2];    /* the session that wrote what is on the block */
byte submitted[SESSIONS + 1]; /* seqs that reached the backend */
byte fenced_openings;    /* openings that lost the volume to another one's session */
byte gone_before_read;   /* what had been overwritten when the read was issued */

/* ---- Client ------------------------------------------------------------------------------------------------------------- */

inline send_open(c, kind) {
  phase[c] = opening;
  open_request[c] = kind;
  open_nonce[c] = nonce[c];
  open_previous[c] = new_session[c];
  open_answer[c] = NONE
}

inline start(c, kind) {
  d_step { phase[c] == closed && (kind == plain || steals > 0) ->
    if :: kind == steal -> steals-- :: else fi;
    send_open(c, kind)
  }
}

/* The open's answer is lost, the client asks again. It is the same opening: it asks as the holder that it may be by now. */
inline ask_open_again(c) {
  d_step { phase[c] == opening && open_request[c] == 0 && open_answer[c] != BUSY IF_SAFE(sessions_given < SESSIONS) IF_LIVE(open_answer[c] == NONE) ->
    send_open(c, plain) }
}

inline take_open_answer(c) {
  d_step { phase[c] == opening && open_answer[c] != NONE ->
    if
    :: open_answer[c] == BUSY -> phase[c] = fenced /* C4: it fails for good */
    :: else ->
       new_session[c] = open_answer[c];
       phase[c] = connecting;
       session_opens = session_opens | BIT(new_session[c])
    fi;
    open_answer[c] = NONE
  }
}

/* C5: what is unanswered leaves the old session here, and is sent again only in the acknowledged one. */
inline take_session_ack(c) {
  d_step { phase[c] == connecting && (session_acks & BIT(new_session[c])) ->
    phase[c] = running;
    answers[session[c]] = 0; /* answers of the old session are ignored from here on */
    read_values[session[c]] = 0;
    session[c] = new_session[c];
    placed = placed & ~IOS_OF(c);
    low[c] = 1;
    next[c] = 1;
    answered_above_low[c] = 0;
#ifdef LIVENESS
    session_acks = session_acks & ~BIT(new_session[c])
#endif
  }
}

/* Paths lost, node restarted, or just impatience. It states its last GVN and asks without `steal` (C4). */
inline reopen(c) {
  d_step { (phase[c] == running || phase[c] == connecting) IF_SAFE(sessions_given < SESSIONS) IF_LIVE(refused & BIT(new_session[c])) ->
    send_open(c, plain) }
}

inline send(c, seq) {
  requests[session[c]] = requests[session[c]] | BIT(2 * (seq) + (seq) - low[c])
}

inline place(c, n) { /* gives IO n the next seq and sends it */
  IO_OF(session[c], next[c]) = n;
  placed = placed | BIT(n);
  send(c, next[c]);
  next[c] = next[c] + 1
}

#define WINDOW_OPEN(c) (phase[c] == running && next[c] - low[c] < W)

#ifdef NO_C1
#define SERIALISED(c, b) true
#else
/* C1: nothing of this client on this block awaits an answer. */
#define SERIALISED(c, b) ((pending & IOS_OF(c) & ON_BLOCK(b)) == 0)
#endif

inline issue(c, n, b) {
  d_step { WINDOW_OPEN(c) && (todo & IOS_OF(c) & BIT(n)) && SERIALISED(c, b) ->
    todo = todo & ~BIT(n);
    pending = pending | BIT(n);
    if :: b == 1 -> second_block = second_block | BIT(n) :: else fi;
    if :: n == READ_IO -> gone_before_read = overwritten :: else fi;
    place(c, n)
  }
}

inline resubmit(c, n) {
  d_step { WINDOW_OPEN(c) && (pending & ~placed & IOS_OF(c) & BIT(n)) -> place(c, n) }
}

#define AWAITS(c, seq) (session[c] != NO_SESSION && (seq) >= low[c] && (seq) < next[c] && \
                        !((seq) == low[c] + 1 && answered_above_low[c]))

#define AWAITS_IN(c, s, seq) (session[c] == (s) && AWAITS(c, seq))
/* For liveness a client asks again only when the last copy or its answer is gone, and reopens when it was refused. */
#define TIMED_OUT(c, seq) (!(requests[session[c]] & (BIT(2 * (seq)) | BIT(2 * (seq) + 1))) && \
                           !(answers[session[c]] & BIT(seq)) && !(refused & BIT(session[c])))

inline retry(c, seq) {
  d_step { phase[c] == running && AWAITS(c, seq) && !(requests[session[c]] & BIT(2 * (seq) + (seq) - low[c])) IF_LIVE(TIMED_OUT(c, seq)) ->
    send(c, seq) }
}

/* Answers count until the next session's acknowledgement. */
#define ANSWERED(c, seq) IO_OF(session[c], seq)

inline take_answer(c, seq) {
  d_step { AWAITS(c, seq) && (answers[session[c]] & BIT(seq)) ->
    pending = pending & ~BIT(ANSWERED(c, seq));
    placed = placed & ~BIT(ANSWERED(c, seq));
    acknowledged = acknowledged | BIT(ANSWERED(c, seq));
    if
    :: ANSWERED(c, seq) == READ_IO ->
       INVARIANT(inv5_read_is_stale, (read_values[session[c]] & gone_before_read) == 0)
    :: else ->
       INVARIANT(inv10_acknowledged_but_not_written, disk[BLOCK_OF(ANSWERED(c, seq))] == ANSWERED(c, seq) || (overwritten & BIT(ANSWERED(c, seq))))
    fi;
    if
    :: (seq) == low[c] -> low[c] = low[c] + 1 + answered_above_low[c]; answered_above_low[c] = 0
    :: else -> answered_above_low[c] = 1
    fi
#ifdef LIVENESS
    ; answers[session[c]] = answers[session[c]] & ~BIT(seq)
#endif
  }
}

/* It comes back as a new opening under the same id: another nonce, and no memory. */
inline crash_client(c) {
  d_step { client_crashes > 0 && phase[c] != closed && nonce[c] == 0 ->
    client_crashes--;
    nonce[c] = 1;
    phase[c] = closed;
    pending = pending & ~IOS_OF(c);
    placed = placed & ~IOS_OF(c);
    answers[session[c]] = 0;
    read_values[session[c]] = 0;
    session[c] = NO_SESSION;
    new_session[c] = NO_SESSION;
    low[c] = 0;
    next[c] = 0;
    answered_above_low[c] = 0;
    open_answer[c] = NONE
  }
}

proctype Client(bit c) {
end:
  do
  :: start(c, plain)
  :: start(c, steal)
  :: ask_open_again(c)
  :: take_open_answer(c)
  :: take_session_ack(c)
  :: reopen(c)
#ifdef LIVENESS
  :: d_step { phase[c] == connecting && !((session_opens | session_acks | refused) & BIT(new_session[c])) ->
       session_opens = session_opens | BIT(new_session[c]) } /* asks the node again */
#endif
  :: issue(c, 1, 0) :: resubmit(c, 1)
#if IOS > 1
  :: issue(c, 2, 0) :: resubmit(c, 2)
#endif
#if IOS > 2
  :: issue(c, 3, 0) :: resubmit(c, 3)
#endif
#if IOS > 3
  :: issue(c, 4, 0) :: resubmit(c, 4)
#endif
#if BLOCKS > 1
  :: issue(c, 1, 1)
#if IOS > 1
  :: issue(c, 2, 1)
#endif
#if IOS > 2
  :: issue(c, 3, 1)
#endif
#if IOS > 3
  :: issue(c, 4, 1)
#endif
#endif
  :: retry(c, 1) :: take_answer(c, 1)
  :: retry(c, 2) :: take_answer(c, 2)
  :: retry(c, 3) :: take_answer(c, 3)
  :: crash_client(c)
  od
}

/* ---- Network: requests of session s arrive at the node ------------------------------------------------------------------ */

#ifdef NO_GVN_CHECK
#define ADMITS(s) (node_session != NO_SESSION)
#else
#define ADMITS(s) (node_session != NO_SESSION && gvn_of[s] == gvn_of[node_session])
#endif

/* A refused request changes nothing, so that it needs no step, except for liveness: there the client hears of it. */
inline arrive(s, seq, behind) {
  d_step { (requests[s] & BIT(2 * (seq) + behind)) && node_up && core_session == NO_SESSION IF_SAFE(ADMITS(s)) ->
#ifdef LIVENESS
    requests[s] = requests[s] & ~BIT(2 * (seq) + behind);
    if
    :: !ADMITS(s) -> refused = refused | BIT(s)
    :: else ->
#endif
       core_session = s;
       core_seq = seq;
       core_low = seq - behind
#ifdef LIVENESS
    fi
#endif
  }
}

#ifdef LIVENESS
#define LOSE(s, set, bits) d_step { losses > 0 && (set & (bits)) -> losses--; set = set & ~(bits) }
#endif

proctype Network(byte s) {
end:
  do
  :: arrive(s, 1, 0)
  :: arrive(s, 2, 0) :: arrive(s, 2, 1)
  :: arrive(s, 3, 0) :: arrive(s, 3, 1)
#ifdef LIVENESS
  :: LOSE(s, requests[s], BIT(2)) :: LOSE(s, requests[s], BIT(4)) :: LOSE(s, requests[s], BIT(5))
  :: LOSE(s, answers[s], BIT(1)) :: LOSE(s, answers[s], BIT(2))
  :: LOSE(s, session_opens, BIT(s)) :: LOSE(s, session_acks, BIT(s))
  :: d_step { losses > 0 && open_answer[0] == s -> losses--; open_answer[0] = NONE }
  :: d_step { losses > 0 && open_answer[1] == s -> losses--; open_answer[1] = NONE }
#endif
  od
}

/* ---- Node --------------------------------------------------------------------------------------------------------------- */

inline forget_window() {
  base = 1;
  claimed = 0;
  done = 0
}

/* P3, first step: verified and above the fence, looked at again now that the answer is here. Admission stops. */
inline stop_admitting(s) {
  d_step { node_up && candidate == NO_SESSION && (verified & BIT(s)) && gvn_of[s] > gvn_of[fence] ->
    candidate = s;
    node_session = NO_SESSION;
    forget_window()
#ifdef LIVENESS
    ; verified = verified & ~BIT(s); session_opens = session_opens & ~BIT(s)
#endif
  }
}

#ifdef NO_DRAIN
#define DRAINED true
#else
#define DRAINED ALL(FINISHED) /* F1: nothing that this process submitted is in flight */
#endif

/* P3: drain, then the fence, durable. */
inline write_fence() {
  d_step { candidate != NO_SESSION && fence != candidate && DRAINED -> fence = candidate }
}

/* P3: only then acknowledge. (A repeat of the session open is acknowledged again: the bit stays set.) */
inline acknowledge_session() {
  d_step { candidate != NO_SESSION && fence == candidate ->
    INVARIANT(inv6_gvn_accepted_twice_or_falls, gvn_of[candidate] > gvn_of[newest_acked]);
    INVARIANT(inv9_fence_not_durable, gvn_of[fence] >= gvn_of[candidate]);
    if
    :: newest_acked != NO_SESSION && opening_of[newest_acked] != opening_of[candidate] ->
       fenced_openings = fenced_openings | BIT(opening_of[newest_acked])
    :: else
    fi;
    INVARIANT(c4_fenced_client_came_back, !(fenced_openings & BIT(opening_of[candidate])));
    newest_acked = candidate;
    node_session = candidate;
    session_acks = session_acks | BIT(candidate);
    candidate = NO_SESSION
  }
}

inline evict_below_base() { /* the table has W entries: what the base passed is gone */
  claimed = claimed & ~(BIT(base) - 1);
  done = done & ~(BIT(base) - 1)
}

#define CORE_IO IO_OF(core_session, core_seq)

inline submit() { /* the backend works on it from here on */
  INVARIANT(inv3_runs_once, core_session != node_session || CORE_IO == READ_IO || !(submitted[core_session] & BIT(core_seq)));
  submitted[core_session] = submitted[core_session] | BIT(core_seq);
  in_flight[core_session] = in_flight[core_session] | BIT(core_seq);
}

#ifdef NO_W7
#define STILL_ACTIVE true
#else
#define STILL_ACTIVE (ADMITS(core_session))
#endif

/* The window. The request passed the session check some time ago, maybe on another core: a fence can have come since. */
inline admit() {
  d_step { core_session != NO_SESSION ->
    if
    :: !STILL_ACTIVE -> skip /* W7: looked at again once it is counted in flight */
    :: else ->
#ifdef NO_WINDOW
       submit()
#else
#ifndef NO_W2
       if
       :: core_low > base -> /* W2: by the client's low alone */
          INVARIANT(inv7_executing_entry_evicted, (claimed & ~done & (BIT(core_low) - 1)) == 0);
          base = core_low;
          evict_below_base()
       :: else
       fi;
#endif
       if
       :: core_seq < base -> /* W3: discarded */
          INVARIANT(inv7_repeat_refused,
                    !AWAITS_IN(0, core_session, core_seq) && !AWAITS_IN(1, core_session, core_seq))
       :: core_seq >= base + W -> skip /* W4: refused; a client that keeps to its window never gets there */
       :: else ->
          if
          :: claimed & done & BIT(core_seq) -> /* W6: a done write: the stored status again; a done read: run again */
             if
             :: CORE_IO == READ_IO ->
#ifdef NO_READ_APART
                done = done & ~BIT(core_seq); /* as if the entry were executing once more */
#endif
                submit()
             :: else -> answers[core_session] = answers[core_session] | BIT(core_seq)
             fi
          :: claimed & ~done & BIT(core_seq) -> skip /* W6: executing: its completion answers every copy */
          :: else -> /* W7: claimed and counted, then submitted */
             claimed = claimed | BIT(core_seq);
             submit()
          fi
       fi
#endif
    fi;
    core_session = NO_SESSION;
    core_seq = 0;
    core_low = 0
  }
}

/* The process dies. What it held in memory is gone; what it submitted isn't. */
inline crash_node() {
  d_step { node_up && node_crashes > 0 ->
    node_crashes--;
    node_up = 0;
    node_session = NO_SESSION;
    candidate = NO_SESSION;
    forget_window();
    verified = 0; /* answers to questions of a dead process */
    core_session = NO_SESSION;
    core_seq = 0;
    core_low = 0;
    orphans[1] = in_flight[1];
    orphans[2] = in_flight[2];
    orphans[SESSIONS] = in_flight[SESSIONS];
#if SESSIONS > 3
    orphans[3] = in_flight[3];
#endif
#if SESSIONS > 4
    orphans[4] = in_flight[4];
#endif
#ifdef NO_DURABLE_FENCE
    fence = NO_SESSION
#endif
  }
}

#ifdef NO_PROCESS_LOCK
#define LOCK_FREE true
#else
#define LOCK_FREE ALL(NO_ORPHAN_OF) /* F2: the kernel holds the lock until the dead process's last write has landed */
#endif

inline start_node() {
  d_step { !node_up && LOCK_FREE ->
    INVARIANT(inv9_fence_not_durable, gvn_of[fence] >= gvn_of[newest_acked]);
    node_up = 1
  }
}

proctype Node() {
end:
  do
  :: stop_admitting(1)
  :: stop_admitting(2)
#if SESSIONS > 2
  :: stop_admitting(3)
#endif
#if SESSIONS > 3
  :: stop_admitting(4)
#endif
#if SESSIONS > 4
  :: stop_admitting(5)
#endif
  :: write_fence()
  :: acknowledge_session()
  :: admit()
  :: crash_node()
  :: start_node()
  od
}

/* ---- Backend: what was submitted for session s lands -------------------------------------------------------------------- */

#define LANDING(s, seq) IO_OF(s, seq)

inline land(s, seq) {
  d_step { in_flight[s] & BIT(seq) ->
    in_flight[s] = in_flight[s] & ~BIT(seq);
    if
    :: LANDING(s, seq) != READ_IO ->
       INVARIANT(inv1_no_effect_after_newer_session, gvn_of[s] >= gvn_of[newest_acked]);
       INVARIANT(inv3_overwritten_value_comes_back, !(overwritten & BIT(LANDING(s, seq))));
       INVARIANT(inv4_acknowledged_overwritten_by_older,
                 !((acknowledged & BIT(disk[BLOCK_OF(LANDING(s, seq))])) && gvn_of[s] < gvn_of[disk_session[BLOCK_OF(LANDING(s, seq))]]));
       if :: disk[BLOCK_OF(LANDING(s, seq))] != LANDING(s, seq) -> overwritten = overwritten | BIT(disk[BLOCK_OF(LANDING(s, seq))]) :: else fi;
       disk[BLOCK_OF(LANDING(s, seq))] = LANDING(s, seq);
       disk_session[BLOCK_OF(LANDING(s, seq))] = s
    :: else
    fi;
    /* Completion and answer. A process that died meanwhile hears nothing; a session being fenced has no queue pair to answer
     * on. */
    if
    :: node_session == s && !(orphans[s] & BIT(seq)) ->
       if :: LANDING(s, seq) == READ_IO -> read_values[s] = read_values[s] | BIT(disk[BLOCK_OF(LANDING(s, seq))]) :: else fi;
       answers[s] = answers[s] | BIT(seq);
       done = done | (claimed & BIT(seq))
#ifdef NO_W2
       ; /* the node moves the base itself, past whatever it has finished */
       base = base + (done & BIT(base) -> 1 : 0);
       base = base + (done & BIT(base) -> 1 : 0);
       evict_below_base()
#endif
    :: else
    fi;
    orphans[s] = orphans[s] & ~BIT(seq)
  }
}

proctype Backend(byte s) {
end:
  do
  :: land(s, 1)
  :: land(s, 2)
  :: land(s, 3)
  od
}

/* ---- Masters ------------------------------------------------------------------------------------------------------------ */

#ifdef NO_C4
#define IS_HOLDER(c, holder) true
#else
#ifdef NO_OPEN_RETRY
/* The previous GVN has to be the holder's: an opening whose answer was lost can't state it. */
#define IS_HOLDER(c, holder) (holder == NO_SESSION || \
                              (opening_of[holder] == OPENING_OF(c, open_nonce[c]) && open_previous[c] == holder))
#else
/* C4: only while this opening is still the holder. */
#define IS_HOLDER(c, holder) (holder == NO_SESSION || opening_of[holder] == OPENING_OF(c, open_nonce[c]))
#endif
#endif

/* One transaction: the new GVN, its holder, committed before the answer (P2). */
inline commit_open(c, mv, ov, current) {
  if
  :: open_request[c] == steal || IS_HOLDER(c, current) ->
     sessions_given++;
     ov++;
     current = sessions_given;
     INVARIANT(inv6_gvn_given_twice_or_falls, GVN(mv, ov) > newest_given);
     if :: GVN(mv, ov) > newest_given -> newest_given = GVN(mv, ov) :: else fi;
     gvn_of[sessions_given] = GVN(mv, ov);
     opening_of[sessions_given] = OPENING_OF(c, open_nonce[c]);
     if :: open_nonce[c] == nonce[c] -> open_answer[c] = sessions_given :: else fi
  :: else ->
     INVARIANT(c4_holder_turned_away, opening_of[current] != OPENING_OF(c, open_nonce[c]));
     if :: open_nonce[c] == nonce[c] -> open_answer[c] = BUSY :: else fi
  fi;
  open_request[c] = 0;
  open_nonce[c] = 0;
  open_previous[c] = 0
}

/* P1: the transaction fails unless the store still holds this master's manager version. */
inline answer_open(m, c) {
  d_step { leader == m && greeted && open_request[c] != 0 &&
           (sessions_given < SESSIONS || !(open_request[c] == steal || IS_HOLDER(c, store_current))) ->
    commit_open(c, store_mv, store_ov, store_current)
  }
}

/* P1: a verification is a transaction too. Its answer is on its way for as long as it likes: two steps. */
inline verify(m, s) {
  d_step { leader == m && greeted && (session_opens & BIT(s)) && store_current == s && node_up && !(verified & BIT(s)) ->
    verified = verified | BIT(s)
  }
}

#ifdef LIVENESS
inline refuse_session(m, s) {
  d_step { leader == m && greeted && (session_opens & BIT(s)) && node_up && candidate != s && node_session != s &&
           (gvn_of[s] <= gvn_of[fence] || store_current != s) ->
    refused = refused | BIT(s);
    session_opens = session_opens & ~BIT(s);
    verified = verified & ~BIT(s)
  }
}
/* The acknowledgement was lost, and the same session asks again. */
#ifdef NO_ACK_AGAIN
#define ACKNOWLEDGES_AGAIN false
#else
#define ACKNOWLEDGES_AGAIN true
#endif
inline acknowledge_session_again(m, s) {
  d_step { ACKNOWLEDGES_AGAIN && leader == m && (session_opens & BIT(s)) && node_up && node_session == s ->
    session_opens = session_opens & ~BIT(s);
    session_acks = session_acks | BIT(s)
  }
}
#endif

/* P1: manager version + 1 is committed first of all. */
inline take_over(m) {
  d_step { leader != m && takeovers > 0 ->
    takeovers--;
#ifdef NO_P1
    deposed_mv = store_mv;
    deposed_ov = store_ov;
    deposed_current = store_current;
#endif
    leader = m;
    store_mv++;
    greeted = 0
  }
}

#ifdef NO_P1
inline answer_open_deposed(m, c) {
  d_step { leader != m && deposed_mv > 0 && open_request[c] != 0 && sessions_given < SESSIONS ->
    commit_open(c, deposed_mv, deposed_ov, deposed_current)
  }
}
#endif

inline copy_store() {
  d_step { restores > 0 && copy_mv == 0 ->
    copy_mv = store_mv;
    copy_ov = store_ov;
    copy_current = store_current
  }
}

/* This master starts from the old copy, and can't know that it is old. */
inline start_from_copy(m) {
  d_step { restores > 0 && copy_mv != 0 ->
    restores--;
    leader = m;
    store_mv = copy_mv + 1;
    store_ov = copy_ov;
    store_current = copy_current;
    copy_mv = 0;
    copy_ov = 0;
    copy_current = 0;
    greeted = 0
  }
}

/* Before it answers for the volume, a master that has taken over exchanges hellos with the volume's node:
 *  - the node has no session between verification and acknowledgement (it finishes it, or gives it up);
 *  - the master commits a manager version above the highest that the node has met, and the node makes it durable: it ignores
 *    the verifications of every earlier one from then on;
 *  - a node that has fenced for a newer GVN than the store knows is right about who holds the volume. */
#ifdef NO_HELLO_WAIT
#define NO_SESSION_OPENING true
#else
#define NO_SESSION_OPENING (candidate == NO_SESSION)
#endif

inline hello(m) {
  d_step { leader == m && !greeted && node_up && NO_SESSION_OPENING ->
#ifndef NO_HELLO
    if :: store_mv <= node_mv -> store_mv = node_mv + 1 :: else fi;
#ifndef NO_HELLO_FENCE
    node_mv = store_mv;
    verified = 0;
#endif
#ifndef NO_HELLO_HOLDER
    if :: gvn_of[fence] > gvn_of[store_current] -> store_current = fence :: else fi;
#endif
#endif
    greeted = 1
  }
}

proctype Master(bit m) {
end:
  do
  :: answer_open(m, 0)
  :: answer_open(m, 1)
  :: verify(m, 1)
  :: verify(m, 2)
#if SESSIONS > 2
  :: verify(m, 3)
#endif
#if SESSIONS > 3
  :: verify(m, 4)
#endif
#if SESSIONS > 4
  :: verify(m, 5)
#endif
#ifdef LIVENESS
  :: refuse_session(m, 1) :: acknowledge_session_again(m, 1)
  :: refuse_session(m, 2) :: acknowledge_session_again(m, 2)
#if SESSIONS > 2
  :: refuse_session(m, 3) :: acknowledge_session_again(m, 3)
#endif
#if SESSIONS > 3
  :: refuse_session(m, 4) :: acknowledge_session_again(m, 4)
#endif
#if SESSIONS > 4
  :: refuse_session(m, 5) :: acknowledge_session_again(m, 5)
#endif
#endif
  :: hello(m)
#if TAKEOVERS > 0
  :: take_over(m)
#endif
#ifdef NO_P1
  :: answer_open_deposed(m, 0)
  :: answer_open_deposed(m, 1)
#endif
#if RESTORES > 0
  :: copy_store()
  :: start_from_copy(m)
#endif
  od
}

/* ------------------------------------------------------------------------------------------------------------------------- */

init {
  atomic {
    disk[1] = IOS + 1; /* what a block held at first has a number, too */
#ifdef LIVENESS
    run Time();
#endif
    run Client(0);
#if CLIENTS > 1
    run Client(1);
#endif
    run Node();
    run Master(0);
#if TAKEOVERS > 0 || RESTORES > 0
    run Master(1);
#endif
    run Network(1); run Backend(1);
    run Network(2); run Backend(2);
#if SESSIONS > 2
    run Network(3); run Backend(3);
#endif
#if SESSIONS > 3
    run Network(4); run Backend(4);
#endif
#if SESSIONS > 4
    run Network(5); run Backend(5);
#endif
  }
}

#ifdef LIVENESS
/* When the faults stop, every client either has all its IOs answered or has been fenced for good; and since it stays so,
 * ownership has stopped changing. */
#define SETTLED(c, its_ios) (phase[c] == fenced || (phase[c] == running && ((todo | pending) & its_ios) == 0))
/* Time goes on even where nothing else does: without it a state in which all wait for ever would be an end, not a cycle. */
proctype Time() {
  do
  :: store_mv > 0 -> skip /* always */
  od
}
#define settled (SETTLED(0, IOS_OF_A) && SETTLED(1, IOS_OF_B))
ltl settles { <> [] settled }
#endif
