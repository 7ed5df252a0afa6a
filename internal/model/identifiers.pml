/* The choice of packet identifiers: never one in use, also after a crash.
 *
 * models session/ids.go: take, takeForMessage, message, abandon, freeMessage, setRequest, freeRequest
 * models session/sender.go: publish, giveUp, finish
 * models session/sender_records.go: requestRecords, Unrecorded, Recorded, Restore, claim
 * models session/sender_journal.go: noteExchange, noteEnd, ContinueIdentifier
 * models internal/durable/journal.go: Exchange, exchangeUnstored, End, Abandon
 * models internal/durable/load.go: restore, restoreUnstored
 * models session/sender_inherited.go: holds, free, releaseID
 *
 * A server takes a QoS 2 message under an identifier that it holds for a repeat: the
 * message is lost. So the identifier stays taken until PUBCOMP or a refusal, and that of
 * a message that was given up stays taken until the session ends. With a store, PUBLISH
 * waits until the identifier is on the disk, and the removal of a record is committed
 * before the next record with the identifier. The server keeps the session.
 *
 * Of a message that is not to be stored (UNSTORED) only the identifier is recorded. The
 * next process releases it with PUBREL and uses it after PUBCOMP. Without a store (BLIND)
 * a new process does not know which identifiers the server holds, and does so with each.
 *
 * Variants: BLIND, UNSTORED.
 * Mistakes: REUSE_ON_PUBREC, NO_CLAIM, REQUESTS_UNKNOWN, ABANDONED_FREE,
 * ABANDONED_FORGOTTEN, SENT_BEFORE_RECORD, REMOVED_ON_PUBREC, REMOVED_LATE,
 * BLIND+UNRELEASED, UNSTORED+IDENTIFIER_UNRECORDED.
 */
#define MESSAGES 3
#define IDS 2 /* 1 and 2 */
#define CRASHES 2
#define LOSSES 1
#define REQUESTS 1
#define GIVEN_UP 1

mtype = { PUBLISH, PUBREL, SUBSCRIBE, PUBACK, PUBREC, REFUSED, PUBCOMP, SUBACK };
chan toServer = [8] of { mtype, byte, byte }; /* identifier, content */
chan toClient = [8] of { mtype, byte, byte };

bool twice[MESSAGES];
bool up;
byte losses, crashes, requests, givenUp;

/* The client. */
#define IDLE 0      /* not published yet */
#define RECORDING 1 /* has an identifier, which is being recorded */
#define READY 2     /* may be sent */
#define PUBLISHED 3
#define RELEASED 4
#define DONE 5
#define LOST 6      /* with the process, which had not accepted it, or had no store */
byte state[MESSAGES];
byte id[MESSAGES]; /* 0: none */
bool again[MESSAGES];
bool unstored[MESSAGES];
bool abandoned[IDS + 1];
byte request; /* the identifier of SUBSCRIBE; 0: none */
byte last;
bool mayHold[IDS + 1];   /* the server may hold it for an earlier process */
bool releasing[IDS + 1]; /* PUBREL was sent to make sure that it does not */

/* The disk: a record for each message, and what is to be written, in order. */
#define PUT 1
#define REMOVE 2
#define ABANDON 3
byte record[MESSAGES]; /* the identifier; 0: no record */
bool recordAbandoned[MESSAGES];
chan journal = [2 * MESSAGES] of { byte, byte, byte };

/* The server. */
#define NOBODY 9
byte holds[IDS + 1]; /* the QoS 2 message that was received and not released */
bool got[MESSAGES];

#define EACH(is) (is(0) && is(1) && is(2))
#define finished(m) (state[m] == DONE || state[m] == LOST)
#define takes(m, x) (id[m] == x)
#ifdef REQUESTS_UNKNOWN
#define isFree(x) (!takes(0, x) && !takes(1, x) && !takes(2, x) && !abandoned[x])
#else
#define isFree(x) (!takes(0, x) && !takes(1, x) && !takes(2, x) && !abandoned[x] && request != x)
#endif
#define anyFree (isFree(1) || isFree(2))

/* take sets x to the next free identifier. */
inline take() {
	do
	:: true ->
		last = last % IDS + 1;
		if
		:: isFree(last) -> break
		:: else
		fi
	od;
	x = last;
	assert(x != request)
}

inline put(m) {
	journal!PUT,m,id[m];
#ifdef SENT_BEFORE_RECORD
	state[m] = READY
#else
	state[m] = RECORDING
#endif
}

inline submit(m) {
	take();
	id[m] = x;
	if
#ifdef BLIND
	:: true -> state[m] = READY
#else
#ifdef IDENTIFIER_UNRECORDED
	:: unstored[m] -> state[m] = READY
#endif
	:: else -> put(m)
#endif
	fi;
	x = 0
}

/* commit makes one record durable. The process hears of it if it lives. */
inline commit() {
	journal?k2,m,x;
	if
	:: k2 == PUT ->
		record[m] = x;
		if
		:: state[m] == RECORDING -> state[m] = READY
		:: else
		fi
	:: k2 == REMOVE -> record[m] = 0
	:: k2 == ABANDON -> recordAbandoned[m] = true
	fi;
	m = 0; x = 0; k2 = 0
}

/* send: the first PUBLISH, or a repeat of it. */
inline send(m) {
	if
#ifndef UNRELEASED
	:: twice[m] && !again[m] && mayHold[id[m]] ->
		if
		:: !releasing[id[m]] -> releasing[id[m]] = true; toServer!PUBREL(id[m],NOBODY)
		:: else
		fi
#endif
	:: else ->
		toServer!PUBLISH(id[m],m);
		state[m] = PUBLISHED; again[m] = false
	fi
}

#define sendable(m) (up && (again[m] || state[m] == READY) && !(twice[m] && !again[m] && releasing[id[m]]))

inline forgetRecord(m) {
	skip;
#ifndef BLIND
	journal!REMOVE,m,0
#endif
}

inline finish(m) {
#ifndef REMOVED_LATE
	forgetRecord(m);
#endif
	state[m] = DONE; id[m] = 0; again[m] = false
}

inline giveUp(m) {
	givenUp++;
	if
	:: twice[m] ->
#ifndef ABANDONED_FREE
		abandoned[id[m]] = true;
#endif
#ifndef BLIND
#ifdef ABANDONED_FORGOTTEN
		journal!REMOVE,m,0
#else
		journal!ABANDON,m,0
#endif
#endif
	:: else -> forgetRecord(m)
	fi;
	state[m] = DONE; id[m] = 0; again[m] = false
}

inline clientTakes(k, i, c) {
	m = 0;
	do
	:: m < MESSAGES && !(id[m] == i && state[m] >= PUBLISHED) -> m++
	:: else -> break
	od;
	if
	:: k == SUBACK -> assert(i == request); request = 0
	:: k == PUBCOMP && releasing[i] -> releasing[i] = false; mayHold[i] = false
	:: k == PUBCOMP && !releasing[i] && m < MESSAGES -> finish(m)
	:: k != SUBACK && k != PUBCOMP && m == MESSAGES ->
		/* The identifier is free, or of a message that was given up. */
		if
		:: k == PUBREC -> toServer!PUBREL(i,NOBODY)
		:: else
		fi
	:: k == PUBREC && m < MESSAGES ->
		assert(c == m);
		state[m] = RELEASED; again[m] = false;
#ifdef REMOVED_ON_PUBREC
		forgetRecord(m);
#endif
		toServer!PUBREL(i,m);
#ifdef REUSE_ON_PUBREC
		finish(m)
#endif
	:: (k == PUBACK || k == REFUSED) && m < MESSAGES -> assert(c == m); finish(m)
	:: else
	fi;
	m = 0
}

inline serverTakes(k, i, c) {
	if
	:: k == SUBSCRIBE -> toClient!SUBACK(i,NOBODY)
	:: k == PUBREL -> holds[i] = NOBODY; toClient!PUBCOMP(i,c)
	:: k == PUBLISH && !twice[c] -> toClient!PUBACK(i,c)
	:: k == PUBLISH && twice[c] ->
		assert(holds[i] == NOBODY || holds[i] == c || got[c]); /* or c is lost */
		got[c] = true;
		if
		:: holds[i] = c; toClient!PUBREC(i,c)
		:: holds[i] == NOBODY -> toClient!REFUSED(i,c)
		fi
	fi
}

inline stop() {
	up = false;
	do
	:: toServer?_,_,_
	:: toClient?_,_,_
	:: empty(toServer) && empty(toClient) -> break
	od;
	request = 0; x = 1;
	do
	:: x <= IDS -> releasing[x] = false; x++
	:: else -> break
	od;
	x = 0
}

inline start() {
	m = 0;
	do
	:: m < MESSAGES ->
		again[m] = (state[m] == PUBLISHED);
		if
		:: state[m] == RELEASED -> toServer!PUBREL(id[m],m)
		:: else
		fi;
		m++
	:: else -> break
	od;
	m = 0; up = true
}

/* crash: the next process knows what is on the disk. */
inline crash() {
	stop();
	do
	:: journal?_,_,_
	:: empty(journal) -> break
	od;
	last = 0; x = 1;
	do
	:: x <= IDS ->
		abandoned[x] = false;
#ifdef BLIND
		mayHold[x] = true;
#endif
		x++
	:: else -> break
	od;
	x = 0; m = 0;
	do
	:: m < MESSAGES -> again[m] = false; id[m] = 0; m++
	:: else -> break
	od;
	m = 0;
	do
	:: m < MESSAGES ->
		if
		:: record[m] != 0 && recordAbandoned[m] -> abandoned[record[m]] = true
		:: record[m] != 0 && !recordAbandoned[m] ->
#ifdef NO_CLAIM
			state[m] = LOST
#else
			assert(isFree(record[m]));
			id[m] = record[m];
			if
			:: unstored[m] && twice[m] -> state[m] = RELEASED
			:: unstored[m] && !twice[m] -> state[m] = LOST; id[m] = 0
			:: else -> state[m] = PUBLISHED
			fi;
			if
			:: last < id[m] -> last = id[m]
			:: else
			fi
#endif
		:: record[m] == 0 && state[m] != IDLE && state[m] != DONE -> state[m] = LOST
		:: else
		fi;
		m++
	:: else -> break
	od;
	m = 0
}

#ifdef REMOVED_LATE
/* The removal is committed when there is time for it. */
#define removable(m) (state[m] == DONE && record[m] != 0 && !recordAbandoned[m])
#else
#define removable(m) false
#endif

#define step(m) \
	:: atomic { state[m] == IDLE && (m == 0 || state[m - (m > 0)] != IDLE) && anyFree -> submit(m) } \
	:: atomic { sendable(m) -> send(m) } \
	:: atomic { up && again[m] && givenUp < GIVEN_UP -> giveUp(m) } \
	:: atomic { removable(m) -> record[m] = 0 }

active proctype world() {
	byte i, c, m, x, k2;
	mtype k;
	do
	:: m < MESSAGES ->
		if
		:: twice[m] = true
		:: twice[m] = false
		fi;
		m++
	:: else -> break
	od;
#ifdef UNSTORED
	unstored[0] = true;
#endif
	m = 0; x = 0;
	do
	:: x <= IDS -> holds[x] = NOBODY; x++
	:: else -> break
	od;
	x = 0;
	do
	:: atomic { !up -> start() }
	:: atomic { up && losses < LOSSES -> losses++; stop() }
	:: atomic { crashes < CRASHES -> crashes++; crash() }
	:: atomic { nempty(journal) -> commit() }
	:: atomic { up && request == 0 && requests < REQUESTS && anyFree ->
		requests++; take(); request = x; toServer!SUBSCRIBE(x,NOBODY); x = 0 }
	:: atomic { toServer?k,i,c -> serverTakes(k, i, c); k = 0; i = 0; c = 0 }
	:: atomic { toClient?k,i,c -> clientTakes(k, i, c); k = 0; i = 0; c = 0 }
	step(0)
	step(1)
	step(2)
	:: atomic { up && EACH(finished) && request == 0 && empty(toServer) && empty(toClient) && empty(journal) -> break }
	od
}
