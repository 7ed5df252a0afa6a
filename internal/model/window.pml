/* The acknowledgement window: messages that were received and are to be answered.
 *
 * models receive_ack.go: acknowledge, handLocked, leaveOnServer
 * models session/receiver.go: Publish, count, Ack, flush, sendAnswer, Pubrel, Stop, Forget, release
 * models session/receiver_repeat.go: isRepeat
 * models session/receiver_owed.go: Leave
 *
 * Consumers end their holds in any order. The writer hands the acknowledgements to the
 * engine later. The answers go out in the order of arrival [MQTT-4.6.0-2],
 * [MQTT-4.6.0-3], and none before a consumer has the message and is done with it. A
 * resumed session brings no message to a consumer that has it or had it at QoS 2. A
 * server that has lost its session sends what was not finished as new messages. It
 * uses the lowest free packet identifier, so each is used again at once.
 *
 * Mistakes: ANY_ORDER, BEFORE_HAND_OVER, FORGET_AT_STOP, DUE_LOST, KEEP_REFUSED,
 * ANY_TOKEN, LEFT_PASSED, OPEN_LEAKS, ORDER_OF_BEFORE, RELEASE_AT_PUBREC.
 */
#define MESSAGES 3
#define IDS 3
#define MOST 2 /* our receive maximum */
#define LOSSES 2
#define LEAVES 1
#define LAPSES 1 /* how often the server loses the session */
#define REFUSALS 1

mtype = { PUBLISH, PUBREL, PUBACK, PUBREC, REFUSED, PUBCOMP };
chan toServer = [8] of { mtype, byte };             /* packet identifier */
chan toClient = [8] of { mtype, byte, byte, bool }; /* identifier, content, DUP */

bool twice[MESSAGES]; /* QoS 2 */
bool up;
byte losses, leaves, lapses, refusals;

/* The client: an exchange for each identifier. */
#define NONE 0
#define DELIVERED 1
#define ACKNOWLEDGED 2
#define RECEIVED 3 /* PUBREC sent */
#define LEFT 4
byte state[IDS];
byte content[IDS];
bool current[IDS]; /* this connection has brought it */
bool listed[IDS];
bool counted[IDS];
bool refuse[IDS];
byte opened;
chan arrived = [IDS] of { byte };

/* The consumers: a hold for each message, with the identifier of its token. */
#define HELD 1
byte hold[MESSAGES];
byte token[MESSAGES];
chan due = [2 * MESSAGES] of { byte, byte, bool }; /* token, and its message */

/* The server. */
#define QUEUED 0
#define SENT 1
#define RELEASED 2 /* PUBREC has come, PUBREL was sent */
#define DONE 3
byte server[MESSAGES];
byte id[MESSAGES];
bool again[MESSAGES];
bool counts[MESSAGES];
byte serverOpened;
chan sent = [MESSAGES] of { byte }; /* not answered on this connection, in order */

/* What is true, for the assertions. */
bool may[MESSAGES];  /* be handed to a consumer */
bool done[MESSAGES]; /* a consumer is done with it */

#define EACH(is) (is(0) && is(1) && is(2))
#define ANY(is) (is(0) || is(1) || is(2))
#define finished(m) (server[m] == DONE && hold[m] == NONE)
#define forgotten(x) (state[x] == NONE)
#define isLeft(x) (state[x] == LEFT)
#define sendable(m) (again[m] || server[m] == QUEUED)
#define uses(m, x) ((server[m] == SENT || server[m] == RELEASED) && id[m] == x)
#define isFree(x) (!uses(0, x) && !uses(1, x) && !uses(2, x))

inline release(x) {
	if
#ifndef OPEN_LEAKS
	:: counted[x] -> opened--
#endif
	:: else
	fi;
	state[x] = NONE; counted[x] = false; listed[x] = false; current[x] = false;
	refuse[x] = false; content[x] = 0
}

inline answer(x) {
	listed[x] = false;
	if
	:: !twice[content[x]] ->
		toServer!PUBACK(x);
		may[content[x]] = true; /* the answer may get lost */
		release(x)
	:: twice[content[x]] && refuse[x] ->
		toServer!REFUSED(x);
		may[content[x]] = true;
#ifdef KEEP_REFUSED
		state[x] = RECEIVED
#else
		release(x)
#endif
	:: else ->
		toServer!PUBREC(x);
#ifdef RELEASE_AT_PUBREC
		release(x)
#else
		state[x] = RECEIVED
#endif
	fi
}

#ifdef ANY_ORDER
inline flush() {
	x = 0;
	do
	:: x < IDS ->
		if
		:: listed[x] && state[x] == ACKNOWLEDGED -> answer(x)
		:: else
		fi;
		x++
	:: else -> break
	od;
	x = 0
}
#else
inline flush() {
	do
	:: up && arrived?[x] ->
		arrived?<x>;
		if
		:: state[x] == ACKNOWLEDGED -> arrived?x; answer(x)
#ifdef LEFT_PASSED
		:: state[x] == LEFT -> arrived?x
#endif
		:: else -> break
		fi
	:: else -> break
	od;
	x = 0
}
#endif

inline repeats(i, m, dup) {
	same = (twice[content[i]] == twice[m]);
	if
	:: !same
	:: same && !current[i] && !dup -> same = (twice[m] && content[i] == m)
	:: same && (current[i] || dup) && state[i] == RECEIVED
	:: else -> same = (dup && content[i] == m)
	fi
}

inline handOver(i, m) {
	assert(may[m]);
	may[m] = false; done[m] = false;
	hold[m] = HELD; token[m] = i;
	state[i] = DELIVERED; content[i] = m
#ifdef BEFORE_HAND_OVER
	; state[i] = ACKNOWLEDGED
#endif
}

inline clientTakesPublish(i, m, dup) {
	if
	:: state[i] != NONE ->
		repeats(i, m, dup);
		if
		:: same
		:: else -> assert(!current[i]); release(i); handOver(i, m)
		fi
	:: else -> handOver(i, m)
	fi;
	current[i] = true;
	if
	:: !counted[i] ->
		assert(opened < MOST); /* the server is blamed for nothing */
		counted[i] = true; opened++
	:: else
	fi;
	if
	:: !listed[i] -> listed[i] = true;
#ifndef ANY_ORDER
		arrived!i
#endif
	:: else
	fi;
	if
	:: state[i] == RECEIVED -> state[i] = ACKNOWLEDGED
	:: else
	fi;
	flush();
	same = false
}

inline clientTakesPubrel(i) {
	assert(state[i] == NONE || state[i] == RECEIVED);
	if
	:: state[i] == RECEIVED -> release(i)
	:: else
	fi;
	toServer!PUBCOMP(i)
}

/* acknowledge: the token of m names what the exchange i was when m was handed over. */
inline acknowledgeToken(i, m, no) {
	if
#ifdef ANY_TOKEN
	:: i < IDS && state[i] == DELIVERED ->
#else
	:: i < IDS && state[i] == DELIVERED && content[i] == m ->
#endif
		state[i] = ACKNOWLEDGED; refuse[i] = no;
		flush()
	:: else
	fi
}

inline stop() {
	up = false;
	do
	:: toServer?_,_
	:: toClient?_,_,_,_
	:: sent?_
	:: empty(toServer) && empty(toClient) && empty(sent) -> break
	od;
#ifndef ORDER_OF_BEFORE
	do
	:: arrived?_
	:: empty(arrived) -> break
	od;
#endif
	x = 0;
	do
	:: x < IDS ->
#ifndef ORDER_OF_BEFORE
		listed[x] = false;
#endif
		counted[x] = false; current[x] = false;
		if
		:: state[x] == LEFT -> may[content[x]] = true; release(x)
#ifdef FORGET_AT_STOP
		:: state[x] == DELIVERED -> release(x)
#endif
		:: else
		fi;
		x++
	:: else -> break
	od;
#ifdef DUE_LOST
	do
	:: due?_,_,_
	:: empty(due) -> break
	od;
#endif
	opened = 0; x = 0
}

/* forget: the server has lost the session, and tokens become stale. */
inline forget() {
	x = 0;
	do
	:: x < IDS -> release(x); x++
	:: else -> break
	od;
	m = 0;
	do
	:: m < MESSAGES ->
		if
		:: server[m] != DONE -> server[m] = QUEUED; may[m] = true
		:: else
		fi;
#ifndef ANY_TOKEN
		token[m] = IDS;
#endif
		m++
	:: else -> break
	od;
#ifndef ANY_TOKEN
	x = len(due);
	do
	:: x > 0 -> due?_,m,no; due!IDS,m,no; x--
	:: else -> break
	od;
#endif
	opened = 0; x = 0; m = 0; no = false
}

inline start() {
	serverOpened = 0;
	m = 0;
	do
	:: m < MESSAGES ->
		counts[m] = false;
		again[m] = (server[m] == SENT);
		if
		:: server[m] == RELEASED -> toClient!PUBREL(id[m],m,false)
		:: else
		fi;
		m++
	:: else -> break
	od;
	m = 0; up = true
}

inline serverSends() {
	m = 0;
	do
	:: again[m] || server[m] == QUEUED -> break
	:: else -> m++
	od;
	if
	:: server[m] == QUEUED ->
		x = 0;
		do
		:: isFree(x) -> break
		:: else -> x++
		od;
		id[m] = x; x = 0
	:: else
	fi;
	toClient!PUBLISH(id[m],m,again[m]);
	server[m] = SENT; again[m] = false; counts[m] = true; serverOpened++;
	sent!m;
	m = 0
}

inline serverTakes(k, i) {
	m = 0;
	do
	:: uses(m, i) -> break
	:: else -> m++; assert(m < MESSAGES)
	od;
	if
	:: k != PUBCOMP ->
		assert(done[m] && server[m] == SENT);
		sent?x; assert(x == m); /* the order of arrival */
		x = 0
	:: else -> assert(server[m] == RELEASED)
	fi;
	if
	:: k == PUBREC -> server[m] = RELEASED; toClient!PUBREL(i,m,false)
	:: else ->
		server[m] = DONE;
		if
		:: counts[m] -> counts[m] = false; serverOpened--
		:: else
		fi
	fi;
	m = 0
}

/* consume: a consumer is done with m, or has no space for it. */
inline consume(c) {
	if
	:: hold[c] = NONE; done[c] = true; due!token[c],c,false
	:: twice[c] && refusals < REFUSALS -> refusals++; hold[c] = NONE; done[c] = true; due!token[c],c,true
	:: leaves < LEAVES && token[c] < IDS && state[token[c] % IDS] == DELIVERED && content[token[c] % IDS] == c ->
		leaves++; hold[c] = NONE; state[token[c]] = LEFT
	fi
}

active proctype world() {
	byte i, m, x;
	bool dup, same, no;
	mtype k;
	do
	:: m < MESSAGES ->
		may[m] = true;
		if
		:: twice[m] = true
		:: twice[m] = false
		fi;
		m++
	:: else -> break
	od;
	m = 0;
	do
	:: atomic { !up -> start() }
	:: atomic { !up && lapses < LAPSES -> lapses++; forget(); start() }
	:: atomic { up && (losses < LOSSES || ANY(isLeft)) ->
		if
		:: losses < LOSSES -> losses++
		:: else
		fi;
		stop() }
	:: atomic { up && serverOpened < MOST && ANY(sendable) -> serverSends() }
	:: atomic { toServer?k,i -> serverTakes(k, i); i = 0; k = 0 }
	:: atomic { toClient?k,i,m,dup ->
		if
		:: k == PUBLISH -> clientTakesPublish(i, m, dup)
		:: else -> clientTakesPubrel(i)
		fi;
		i = 0; m = 0; dup = false; k = 0 }
	:: atomic { due?i,m,no -> acknowledgeToken(i, m, no); i = 0; m = 0; no = false }
	:: atomic { hold[0] == HELD -> consume(0) }
	:: atomic { hold[1] == HELD -> consume(1) }
	:: atomic { hold[2] == HELD -> consume(2) }
	:: atomic { up && EACH(finished) && empty(due) && empty(toClient) && empty(toServer) ->
		assert(EACH(forgotten) && opened == 0 && empty(arrived)); break }
	od
}
