/* Publishing with a store: crashes of the client at any step, servers that keep or lose
 * the session.
 *
 * models session/sender_start.go: start, repeat, releaseAgain, Renew, requeue
 * models session/sender_acks.go: Puback, Pubrec, Pubcomp
 * models session/sender_doubt.go: beginDoubt, publishDoubtful, doubtfulPubcomp
 * models session/sender_records.go: Reserve, Restore
 * models session/sender_journal.go: noteExchange, noteEnd, Continue
 * models session/client_continuity.go: noteContinuity, RestoreContinuity
 * models internal/durable/journal.go: note, noteLate, Position, Committed, Exchange, End, Continuity
 * models internal/durable/load.go: Attach, restore
 * models session/continuity.go: beginConnection, connectionEnded, classify
 *
 * What the session knows is noted in a journal, and a commit makes all that is noted
 * durable at once. Bytes go to the server when what was noted before them is durable.
 * That an exchange is over is noted too, but nothing waits for it. Before CONNECT the
 * journal says that the server's session is in doubt: the server may begin an empty one
 * and the process may end before it hears of it.
 *
 * A message is accepted when its record is durable. Every accepted message is delivered,
 * unless its fate is reported, and in the end the store is empty. A QoS 2 message is
 * delivered once if the server has kept its session and the client was never in doubt.
 * The server delivers QoS 2 messages on PUBLISH or on PUBREL, as it likes.
 *
 * In MQTT 5.0 (FIVE) the server tells when it does not know an identifier. Before, the
 * client publishes again what it is in doubt about.
 *
 * Variants: FIVE.
 * Mistakes: PUBLISH_UNRECORDED, PUBREL_UNRECORDED, ACCEPTED_UNRECORDED, CONNECT_UNRECORDED,
 * FRESH_UNRECORDED, AGAIN_UNRECORDED, REMOVED_ON_PUBREC, REMOVED_ON_PUBLISH, NOT_REMOVED,
 * NEVER_IN_DOUBT, BEGUN_ANEW, PUBREL_NOT_REPEATED, FIVE+DOUBT_FORGOTTEN.
 */
#define MESSAGES 2
#define IDS 4 /* two for each message, in turn */
#define CRASHES 2
#define LOSSES 1
#define LAPSES 1

mtype = { CONNECT, PUBLISH, PUBREL, CONNACK, PUBACK, PUBREC, PUBCOMP };
chan buffer = [6] of { mtype, byte, byte }; /* identifier, message: to be written */
chan taken = [6] of { mtype, byte, byte };  /* is written when what was noted is durable */
chan toServer = [6] of { mtype, byte, byte };
chan toClient = [6] of { mtype, byte, bool }; /* identifier; session present, not found */

bool twice[MESSAGES]; /* QoS 2 */
byte losses, crashes, lapses;

/* The client. */
#define DOWN 0
#define ASKED 1
#define UP 2
byte phase;
#define UNBORN 0
#define ACCEPTING 1 /* its record is on the way to the disk */
#define QUEUED 2
#define RESERVED 3  /* queued, with an identifier that is recorded with it */
#define PUBLISHED 4
#define RELEASED 5
#define DONE 6
#define FAILED 7    /* reported: the server does not know whether it has had it */
#define LOST 8      /* with a process that had not accepted it */
byte state[MESSAGES];
byte id[MESSAGES];
bool second[MESSAGES]; /* which of its two identifiers it gets next */
bool again[MESSAGES];
bool doubtful[MESSAGES];
bool doubt;
bool waiting;          /* what was taken waits for a commit */

/* The journal: how the disk is to become. */
bool message[MESSAGES];
byte exchange[MESSAGES]; /* RELEASED, PUBLISHED, or 0 */
byte recorded[MESSAGES]; /* its identifier */
bool inDoubt;
bool noted;              /* bytes wait for it */
bool late;               /* nothing does */

/* The disk. */
bool diskMessage[MESSAGES];
byte diskExchange[MESSAGES];
byte diskRecorded[MESSAGES];
bool diskInDoubt;

/* The server. */
bool session, onPubrel;
bool holds[IDS];

/* What is true, for the assertions. */
bool accepted[MESSAGES];
byte delivered[MESSAGES];
bool everInDoubt;

#define EACH(is) (is(0) && is(1))
#define over(m) (state[m] == DONE || state[m] == FAILED || state[m] == LOST)
#define removed(m) (!diskMessage[m] && diskExchange[m] == 0)
#define kept(m) (!accepted[m] || delivered[m] > 0 || state[m] == FAILED)
#define once(m) (!twice[m] || delivered[m] <= 1 || lapses > 0 || everInDoubt)
#define following(m) (m == 0 || state[0] != UNBORN)
#define openBefore(m) (m > 0 && (state[0] == ACCEPTING || state[0] == QUEUED || state[0] == RESERVED || again[0]))

inline submit(m) {
	message[m] = true; noted = true;
	if
	:: state[m] = ACCEPTING
	:: state[m] = RESERVED; identify(m); note(m, PUBLISHED)
	fi;
#ifdef ACCEPTED_UNRECORDED
	accepted[m] = true
#endif
}

inline identify(m) {
	id[m] = 2 * m + second[m];
	second[m] = !second[m]
}

inline note(m, how) {
	exchange[m] = how;
	if
	:: how == 0 -> recorded[m] = 0
	:: else -> recorded[m] = id[m]
	fi;
	noted = true
}

inline commit() {
	i = 0;
	do
	:: i < MESSAGES ->
		diskMessage[i] = message[i];
		diskExchange[i] = exchange[i];
		diskRecorded[i] = recorded[i];
		if
		:: message[i] -> accepted[i] = true
		:: else
		fi;
		if
		:: state[i] == ACCEPTING -> state[i] = QUEUED
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	diskInDoubt = inDoubt;
	noted = false; late = false; waiting = false
}

inline publish(m) {
	if
	:: state[m] == QUEUED ->
		identify(m);
#ifdef PUBLISH_UNRECORDED
		exchange[m] = PUBLISHED; recorded[m] = id[m]; late = true
#else
		note(m, PUBLISHED)
#endif
	:: else
	fi;
	state[m] = PUBLISHED; again[m] = false;
	buffer!PUBLISH(id[m],m);
#ifdef REMOVED_ON_PUBLISH
	message[m] = false; exchange[m] = 0; late = true
#endif
}

/* A message whose record is not on the disk yet is not sent, and none is before those
   that were submitted earlier. */
#define publishable(m) (phase == UP && !openBefore(m) && (again[m] || state[m] == QUEUED || state[m] == RESERVED && diskMessage[m]))

inline end(m, how) {
	state[m] = how; again[m] = false; doubtful[m] = false;
#ifndef NOT_REMOVED
	message[m] = false; exchange[m] = 0; recorded[m] = 0; late = true;
#endif
	settle()
}

/* settle: when nothing is in doubt any more, the journal says so. In the code each record
   of an exchange says whether it is doubtful, which is the same for one crash. */
inline settle() {
	if
	:: phase == UP && inDoubt && !doubtful[0] && !doubtful[1] -> inDoubt = false; late = true
	:: else
	fi
}

inline connect() {
	phase = ASKED;
#ifndef CONNECT_UNRECORDED
	if
	:: !inDoubt -> inDoubt = true; noted = true
	:: else
	fi;
#endif
	buffer!CONNECT(0,0)
}

inline connected(present) {
	phase = UP;
	i = 0;
	do
	:: i < MESSAGES ->
		if
		:: !present && (state[i] == PUBLISHED || state[i] == RELEASED) ->
			state[i] = QUEUED; doubtful[i] = false;
#ifndef FRESH_UNRECORDED
			note(i, 0)
#endif
		:: present && state[i] == PUBLISHED ->
#ifdef BEGUN_ANEW
			state[i] = QUEUED
#else
			again[i] = true
#endif
		:: present && state[i] == RELEASED ->
#ifndef NEVER_IN_DOUBT
			doubtful[i] = doubtful[i] || doubt;
#endif
#ifndef FIVE
			if
			:: doubtful[i] ->
				doubtful[i] = false; state[i] = PUBLISHED; again[i] = true;
#ifndef AGAIN_UNRECORDED
				note(i, PUBLISHED)
#endif
			:: else -> release(i)
			fi
#else
			release(i)
#endif
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	everInDoubt = everInDoubt || (present && doubt);
	doubt = false;
#ifndef DOUBT_FORGOTTEN
	inDoubt = inDoubt && (doubtful[0] || doubtful[1]);
#else
	inDoubt = false;
#endif
	late = true
}

inline release(m) {
#ifndef PUBREL_NOT_REPEATED
	buffer!PUBREL(id[m],m)
#else
	skip
#endif
}

inline clientTakes(k, x, flag) {
	m = x / 2;
	if
	:: k == CONNACK -> connected(flag)
	:: k == PUBACK && state[m] == PUBLISHED && id[m] == x -> end(m, DONE)
	:: k == PUBREC && state[m] == PUBLISHED && id[m] == x ->
		state[m] = RELEASED; again[m] = false;
#ifdef REMOVED_ON_PUBREC
		message[m] = false; exchange[m] = 0; late = true;
#else
#ifdef PUBREL_UNRECORDED
		exchange[m] = RELEASED; late = true;
#else
		note(m, RELEASED);
#endif
#endif
		buffer!PUBREL(x,m)
	:: k == PUBCOMP && state[m] == RELEASED && id[m] == x ->
		if
		:: doubtful[m] && flag -> end(m, FAILED)
		:: else -> end(m, DONE)
		fi
	:: else
	fi;
	m = 0
}

inline deliver(m) {
	if
	:: delivered[m] == 0 && !onPubrel ->
		assert(m == 0 || !accepted[0] || delivered[0] > 0 || state[0] == FAILED) /* the order */
	:: else
	fi;
	if
	:: delivered[m] < 2 -> delivered[m]++
	:: else
	fi;
	assert(once(m))
}

inline serverTakes(k, x, m) {
	if
	:: k == CONNECT -> toClient!CONNACK(0,session); session = true
	:: k == PUBLISH && !twice[m] -> deliver(m); toClient!PUBACK(x,false)
	:: k == PUBLISH && twice[m] ->
		if
		:: !holds[x] && !onPubrel -> deliver(m)
		:: else
		fi;
		holds[x] = true;
		toClient!PUBREC(x,false)
	:: k == PUBREL ->
		if
		:: holds[x] && onPubrel -> deliver(m)
		:: else
		fi;
#ifdef FIVE
		toClient!PUBCOMP(x,!holds[x]);
#else
		toClient!PUBCOMP(x,false);
#endif
		holds[x] = false
	fi
}

inline stop() {
	doubt = doubt || phase == ASKED;
	phase = DOWN; waiting = false;
	do
	:: buffer?_,_,_
	:: taken?_,_,_
	:: toServer?_,_,_
	:: toClient?_,_,_
	:: empty(buffer) && empty(taken) && empty(toServer) && empty(toClient) -> break
	od;
	again[0] = false; again[1] = false
}

inline crash() {
	stop();
	i = 0;
	do
	:: i < MESSAGES ->
		message[i] = diskMessage[i]; exchange[i] = diskExchange[i]; recorded[i] = diskRecorded[i];
		id[i] = recorded[i]; doubtful[i] = false;
		if
		:: !message[i] && (state[i] == UNBORN || over(i))
		:: !message[i] && state[i] != UNBORN && !over(i) -> state[i] = LOST
		:: message[i] && exchange[i] == 0 -> state[i] = QUEUED
		:: message[i] && exchange[i] != 0 -> state[i] = exchange[i]
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	inDoubt = diskInDoubt; doubt = diskInDoubt;
	noted = false; late = false
}

active proctype world() {
	byte i, m, x;
	bool flag;
	mtype k;
	if
	:: twice[0] = true
	:: twice[0] = false
	fi;
	if
	:: twice[1] = true
	:: twice[1] = false
	fi;
	if
	:: onPubrel = true
	:: onPubrel = false
	fi;
	do
	:: atomic { phase == DOWN -> connect() }
	:: atomic { phase != DOWN && losses < LOSSES -> losses++; stop() }
	:: atomic { lapses < LAPSES && session ->
		lapses++; stop();
		session = false;
		holds[0] = false; holds[1] = false; holds[2] = false; holds[3] = false }
	:: atomic { crashes < CRASHES -> crashes++; crash() }
	:: atomic { noted || late -> commit() }
	:: atomic { nempty(buffer) && empty(taken) ->
		do
		:: buffer?k,x,m -> taken!k,x,m
		:: empty(buffer) -> break
		od;
		waiting = noted; k = 0; x = 0; m = 0 }
	:: atomic { nempty(taken) && !waiting -> taken?k,x,m; toServer!k,x,m; k = 0; x = 0; m = 0 }
	:: atomic { toServer?k,x,m -> serverTakes(k, x, m); k = 0; x = 0; m = 0 }
	:: atomic { toClient?k,x,flag -> clientTakes(k, x, flag); k = 0; x = 0; flag = false }
	:: atomic { state[0] == UNBORN -> submit(0) }
	:: atomic { state[1] == UNBORN && state[0] != UNBORN -> submit(1) }
	:: atomic { publishable(0) -> publish(0) }
	:: atomic { publishable(1) -> publish(1) }
	:: atomic { phase == UP && EACH(over) && !noted && !late ->
		assert(EACH(removed) && EACH(kept)); break }
	od
}
