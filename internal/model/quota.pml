/* The send quota: how many QoS 1 and 2 messages the client has open.
 *
 * models session/sender_start.go: start, repeat, releaseAgain
 * models session/sender.go: Pump, mayPublish, publish, publishAgain, count, uncount, finish
 * models session/sender_acks.go: Puback, Pubrec, Pubcomp
 *
 * The server counts, too, and takes a PUBLISH above its receive maximum for a mistake
 * of the client [MQTT-3.3.4-7]. The maximum may be another one on each connection.
 * The session is always resumed. Every message has to be finished in the end.
 *
 * Mistakes: RELEASE_ON_PUBREC, LEAK_ON_REFUSAL, KEPT_OVER_RECONNECT, REPEAT_UNCOUNTED,
 * UNCOUNT_TWICE, OLD_LIMIT, QUEUE_FIRST.
 */
#define MESSAGES 4
#define LOSSES 2
#define MOST 2

mtype = { PUBLISH, PUBREL, PUBACK, PUBREC, REFUSED, PUBCOMP };
chan toServer = [2 * MESSAGES] of { mtype, byte };
chan toClient = [2 * MESSAGES] of { mtype, byte };

bool twice[MESSAGES]; /* QoS 2 */
bool up;
byte losses;

/* The client. */
#define QUEUED 0
#define PUBLISHED 1
#define RELEASED 2
#define DONE 3
byte state[MESSAGES];
bool counted[MESSAGES];
bool again[MESSAGES]; /* PUBLISH is to be repeated on this connection */
byte used, limit;

/* The server. */
#define NOTHING 0
#define RECEIVED 1 /* to be answered */
#define ANSWERED 2 /* with PUBREC */
#define ENDED 3    /* PUBREL has come, to be answered */
byte has[MESSAGES];
bool open[MESSAGES];
byte opened, maximum;
byte next;         /* the first message that may follow on this connection */

inline uncount(m) {
	if
#ifdef UNCOUNT_TWICE
	:: used > 0 -> counted[m] = false; used--
#else
	:: counted[m] -> counted[m] = false; used--
#endif
	:: else
	fi
}

inline close(m) {
	if
	:: open[m] -> open[m] = false; opened--
	:: else
	fi
}

inline connect() {
	if
	:: maximum = 1
	:: maximum = MOST
	fi;
	opened = 0; next = 0;
#ifdef OLD_LIMIT
	if
	:: limit == 0 -> limit = maximum
	:: else
	fi;
#else
	limit = maximum;
#endif
#ifndef KEPT_OVER_RECONNECT
	used = 0;
#endif
	i = 0;
	do
	:: i < MESSAGES ->
		open[i] = false;
		counted[i] = false;
		again[i] = (state[i] == PUBLISHED);
		if
		:: has[i] == RECEIVED || has[i] == ENDED -> has[i] = NOTHING
		:: else
		fi;
		if
		:: state[i] == RELEASED -> toServer!PUBREL(i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	up = true
}

/* first sets i to the first message that is to be sent now, or to MESSAGES. */
inline first() {
	i = 0;
	do
	:: i < MESSAGES && !again[i] -> i++
	:: else -> break
	od;
#ifdef QUEUE_FIRST
	i = MESSAGES;
#endif
	if
	:: i == MESSAGES ->
		i = 0;
		do
		:: i < MESSAGES && state[i] != QUEUED -> i++
		:: else -> break
		od
	:: else
	fi;
#ifdef QUEUE_FIRST
	if
	:: i == MESSAGES ->
		i = 0;
		do
		:: i < MESSAGES && !again[i] -> i++
		:: else -> break
		od
	:: else
	fi;
#endif
}

inline send() {
	first();
	if
	:: i < MESSAGES ->
		toServer!PUBLISH(i);
#ifdef REPEAT_UNCOUNTED
		if
		:: again[i]
		:: else -> counted[i] = true; used++
		fi;
#else
		counted[i] = true; used++;
#endif
		again[i] = false;
		state[i] = PUBLISHED
	:: else
	fi
}

inline clientTakes(k, m) {
	if
	:: k == PUBACK -> uncount(m); state[m] = DONE; again[m] = false
	:: k == PUBREC ->
#ifdef RELEASE_ON_PUBREC
		uncount(m);
#endif
		state[m] = RELEASED; again[m] = false;
		toServer!PUBREL(m)
	:: k == REFUSED ->
#ifndef LEAK_ON_REFUSAL
		uncount(m);
#endif
		state[m] = DONE; again[m] = false
	:: k == PUBCOMP -> uncount(m); state[m] = DONE
	fi
}

inline serverTakes(k, m) {
	if
	:: k == PUBLISH ->
		assert(opened < maximum);
		assert(m >= next); /* [MQTT-4.6.0-1] repeats and the queue, in their order */
		next = m + 1;
		open[m] = true; opened++;
		has[m] = RECEIVED
	:: k == PUBREL ->
		has[m] = ENDED
	fi
}

/* serverAnswers answers a message. It does so when it likes and in any order: the quota
   may not depend on it. */
inline serverAnswers(m) {
	if
	:: has[m] == ENDED -> close(m); has[m] = NOTHING; toClient!PUBCOMP(m)
	:: has[m] == RECEIVED && !twice[m] -> close(m); has[m] = NOTHING; toClient!PUBACK(m)
	:: has[m] == RECEIVED && twice[m] -> has[m] = ANSWERED; toClient!PUBREC(m)
	:: has[m] == RECEIVED && twice[m] -> close(m); has[m] = NOTHING; toClient!REFUSED(m)
	fi
}

#define EACH(is) (is(0) && is(1) && is(2) && is(3))
#define ANY(is) (is(0) || is(1) || is(2) || is(3))
#define finished(m) (state[m] == DONE)
#define owed(m) (up && (has[m] == RECEIVED || has[m] == ENDED))
#define sendable(m) (state[m] == QUEUED || again[m])

active proctype world() {
	byte i;
	byte m;
	mtype k;
	do
	:: i < MESSAGES ->
		if
		:: twice[i] = true
		:: twice[i] = false
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: atomic { !up -> connect(); i = 0 }
	:: atomic { up && losses < LOSSES ->
		losses++; up = false;
		do
		:: toServer?k,m
		:: toClient?k,m
		:: empty(toServer) && empty(toClient) -> break
		od;
		m = 0 }
	:: atomic { up && used < limit && ANY(sendable) -> send(); i = 0 }
	:: atomic { toServer?k,m -> serverTakes(k, m); m = 0 }
	:: atomic { toClient?k,m -> clientTakes(k, m); m = 0 }
	:: atomic { owed(0) -> serverAnswers(0) }
	:: atomic { owed(1) -> serverAnswers(1) }
	:: atomic { owed(2) -> serverAnswers(2) }
	:: atomic { owed(3) -> serverAnswers(3) }
	:: atomic { up && EACH(finished) -> assert(used == 0); break }
	od
}
