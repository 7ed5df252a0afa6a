/* Receiving with a store: crashes of the client at any step, servers that keep or lose
 * the session.
 *
 * models session/receiver.go: Publish, Ack, sendAnswer, Pubrel, Forget, release
 * models session/receiver_journal.go: noteReceived, noteFinished, RestoreReceived
 * models internal/durable/journal.go: note, Position, Committed, Received, Finished, Continuity
 * models receive_key.go: keyed, Key
 * models session/receiver_repeat.go: isRepeat, resembles, doubt
 * models session/continuity.go: beginConnection, connectionEnded, classify
 *
 * That a QoS 2 message is acknowledged is durable before PUBREC goes out, and that its
 * exchange is over before PUBCOMP does. So no process hands the message over after one
 * that has acknowledged it, and no later message is taken for it.
 *
 * A message that was handed over and not acknowledged comes again after a crash. The
 * program takes each message once by its key: the generation of the session, the packet
 * identifier, how many exchanges under it were finished, and the content. It records the
 * key when it takes the message, in one transaction, and acknowledges later. So a new
 * generation is durable before its first message is handed over: the SUBSCRIBE that
 * brings the message waits for it. In the code the generation is the number of the
 * session at its server.
 *
 * Connections are lost with the process or with the session.
 *
 * A server that has lost the session sends what was not finished as new messages. It
 * uses the lowest free identifier, so each is used again at once. Where the session is in
 * doubt, only the content tells a repeat from a new message, and nothing is asserted of
 * messages that are alike.
 *
 * Mistakes: PUBREC_UNRECORDED, PUBCOMP_UNRECORDED, NOT_RESTORED, NEVER_FINISHED,
 * CONNECT_UNRECORDED, FRESH_UNRECORDED, DOUBT_FORGOTTEN, NEVER_IN_DOUBT,
 * ACKNOWLEDGED_FIRST, KEY_WITHOUT_NUMBER, KEY_WITHOUT_GENERATION,
 * KEY_WITHOUT_CONTENT, HANDED_EARLY.
 */
#define MESSAGES 3
#define IDS 2
#define MOST 2
#define CRASHES 2
#define LAPSES 1

mtype = { CONNECT, PUBREC, PUBACK, PUBCOMP, CONNACK, PUBLISH, PUBREL };
chan buffer = [6] of { mtype, byte };
chan taken = [6] of { mtype, byte };
chan toServer = [6] of { mtype, byte };
chan toClient = [6] of { mtype, byte, byte, bool }; /* identifier, message; DUP, session present */

bool twice[MESSAGES];
byte crashes, lapses;

/* The client. */
#define DOWN 0
#define ASKED 1
#define UP 2
byte phase;
#define NONE 0
#define DELIVERED 1
#define RECEIVED 2 /* acknowledged, PUBREC sent or about to be */
byte state[IDS];
byte content[IDS];
bool current[IDS];  /* this connection has brought it */
bool doubtful[IDS];
byte hold[IDS];     /* the message that a consumer has under the identifier, + 1 */
bool doubt, waiting;
bool unnamed;       /* the generation is not on the disk: no message is handed over */

/* The journal: how the disk is to become. */
bool open[IDS];
byte number[IDS];
byte generation;
bool inDoubt, noted;

/* The disk. */
bool diskOpen[IDS];
byte diskContent[IDS];
byte diskNumber[IDS];
byte diskGeneration;
bool diskInDoubt;

/* The program, in the same database as what it does with messages. */
int seen[MESSAGES]; /* a bit for each key, for each content */
bool alike;         /* all contents are the same */
byte effects[MESSAGES];

/* The server. */
#define QUEUED 0
#define SENT 1
#define RELEASED 2
#define DONE 3
byte server[MESSAGES];
byte id[MESSAGES];
bool again[MESSAGES];
byte opened;
bool counts[MESSAGES];
bool session, connected;

/* What is true, for the assertions. */
bool acknowledged[MESSAGES]; /* on the disk */
bool everInDoubt;
bool here[MESSAGES];         /* handed over by this process */
bool old[IDS], diskOld[IDS]; /* the exchange is one of a lost session */

#define EACH(is) (is(0) && is(1) && is(2))
#define ANY(is) (is(0) || is(1) || is(2))
#define finished(m) (server[m] == DONE)
#define tookEach(m) (effects[m] == 1 || effects[m] > 0 && (lapses > 0 || !twice[m]) || alike && everInDoubt)
#define again1(m) again[m]
#define sendable(m) (again[m] || server[m] == QUEUED)
#define uses(m, x) ((server[m] == SENT || server[m] == RELEASED) && id[m] == x)
#define isFree(x) (!uses(0, x) && !uses(1, x) && !uses(2, x))

#define resembles(m, n) (alike || m == n)
#ifdef KEY_WITHOUT_CONTENT
#define contentOf(m) 0
#else
#define contentOf(m) (alike -> 0 : m)
#endif

#ifdef KEY_WITHOUT_NUMBER
#define key(x) (1 << (generation * 8 + x * 4))
#else
#ifdef KEY_WITHOUT_GENERATION
#define key(x) (1 << (x * 4 + number[x]))
#else
#define key(x) (1 << (generation * 8 + x * 4 + number[x]))
#endif
#endif

inline commit() {
	x = 0;
	do
	:: x < IDS ->
		diskOpen[x] = open[x]; diskOld[x] = old[x]; diskNumber[x] = number[x]; diskContent[x] = content[x];
		if
		:: open[x] && !old[x] -> acknowledged[content[x]] = true
		:: open[x] && old[x]
		:: else -> diskContent[x] = 0
		fi;
		x++
	:: else -> break
	od;
	x = 0;
	diskGeneration = generation; diskInDoubt = inDoubt;
	noted = false; waiting = false; unnamed = false
}

/* release ends an exchange. If it was recorded, that it is over is, too. */
inline release(x) {
	state[x] = NONE; current[x] = false; doubtful[x] = false; content[x] = 0; hold[x] = 0; old[x] = false;
	if
	:: open[x] ->
#ifndef NEVER_FINISHED
		open[x] = false;
#endif
		number[x]++;
#ifndef PUBCOMP_UNRECORDED
		noted = true
#endif
	:: else
	fi
}

/* settle: in the code each record of an exchange says whether it is doubtful. */
inline settle() {
	if
	:: phase == UP && inDoubt && !doubtful[0] && !doubtful[1] -> inDoubt = false; noted = true
	:: else
	fi
}

inline answer(x) {
	if
	:: twice[content[x]] ->
		state[x] = RECEIVED;
		if
		:: !open[x] -> open[x] = true;
#ifndef PUBREC_UNRECORDED
			noted = true
#endif
		:: else
		fi;
		buffer!PUBREC(x)
	:: else -> buffer!PUBACK(x); release(x)
	fi
}

inline handOver(x, m) {
	assert(!here[m]); /* at QoS 2, once in each process */
	assert(!acknowledged[m]);
	here[m] = twice[m];
	state[x] = DELIVERED; content[x] = m; hold[x] = m + 1;
#ifdef ACKNOWLEDGED_FIRST
	answer(x)
#endif
}

/* consume: the program takes the message under x, and acknowledges it. */
inline consume(x) {
	m = hold[x] - 1;
	hold[x] = 0;
	if
	:: twice[m] && (seen[contentOf(m)] & key(x)) != 0
	:: else ->
		if
		:: effects[m] < 2 -> effects[m]++
		:: else
		fi;
		if
		:: twice[m] -> seen[contentOf(m)] = seen[contentOf(m)] | key(x)
		:: else
		fi
	fi
}

inline acknowledge(x) {
	m = content[x];
#ifndef ACKNOWLEDGED_FIRST
	if
	:: phase == UP && current[x] -> answer(x)
	:: else -> /* without a connection, the answer waits for the repeat */
		if
		:: twice[m] -> state[x] = RECEIVED; open[x] = true; noted = true
		:: else -> release(x)
		fi
	fi;
#else
	skip;
#endif
	m = 0
}

inline repeats(x, m, dup) {
	same = (twice[content[x]] == twice[m]);
	if
	:: !same
	:: same && !current[x] && !dup -> same = (twice[m] && resembles(content[x], m))
	:: same && (current[x] || dup) && state[x] == RECEIVED -> same = (!doubtful[x] || resembles(content[x], m))
	:: else -> same = (dup && resembles(content[x], m))
	fi
}

inline clientTakesPublish(x, m, dup) {
	if
	:: state[x] != NONE ->
		repeats(x, m, dup);
		if
		:: same
		:: else -> assert(!current[x]); release(x); settle(); handOver(x, m)
		fi
	:: else -> handOver(x, m)
	fi;
	current[x] = true;
	if
	:: same && state[x] == RECEIVED ->
		assert(content[x] == m || alike && everInDoubt); /* or m is lost */
		answer(x)
	:: else
	fi;
	same = false
}

inline clientTakesPubrel(x) {
	if
	:: state[x] == RECEIVED -> release(x); settle()
	:: else
	fi;
	buffer!PUBCOMP(x)
}

inline clientTakesConnack(present) {
	phase = UP;
	x = 0;
	do
	:: x < IDS ->
#ifndef NEVER_IN_DOUBT
		if
		:: present && doubt && state[x] != NONE -> doubtful[x] = true
		:: else
		fi;
#endif
		if
		:: !present ->
#ifdef FRESH_UNRECORDED
			state[x] = NONE; current[x] = false; doubtful[x] = false; content[x] = 0; hold[x] = 0
#else
			release(x)
#endif
		:: else
		fi;
		x++
	:: else -> break
	od;
	x = 0;
	if
	:: !present -> generation++; number[0] = 0; number[1] = 0;
#ifndef HANDED_EARLY
		unnamed = true
#endif
	:: else
	fi;
	everInDoubt = everInDoubt || (present && doubt);
	doubt = false;
#ifdef DOUBT_FORGOTTEN
	inDoubt = false;
#else
	inDoubt = inDoubt && (doubtful[0] || doubtful[1]);
#endif
	noted = true
}

inline connect() {
	phase = ASKED;
#ifndef CONNECT_UNRECORDED
	if
	:: !inDoubt -> inDoubt = true; noted = true
	:: else
	fi;
#endif
	buffer!CONNECT(0)
}

inline stop() {
	doubt = doubt || phase == ASKED;
	phase = DOWN; waiting = false; unnamed = false; connected = false;
	do
	:: buffer?_,_
	:: taken?_,_
	:: toServer?_,_
	:: toClient?_,_,_,_
	:: empty(buffer) && empty(taken) && empty(toServer) && empty(toClient) -> break
	od;
	current[0] = false; current[1] = false;
	again[0] = false; again[1] = false; again[2] = false;
	counts[0] = false; counts[1] = false; counts[2] = false;
	opened = 0
}

inline crash() {
	stop();
	x = 0;
	do
	:: x < IDS ->
		open[x] = diskOpen[x]; number[x] = diskNumber[x];
		state[x] = NONE; content[x] = 0; hold[x] = 0; doubtful[x] = false; old[x] = diskOld[x];
		if
#ifndef NOT_RESTORED
		:: open[x] -> state[x] = RECEIVED; content[x] = diskContent[x]
#endif
		:: else
		fi;
		x++
	:: else -> break
	od;
	x = 0;
	here[0] = false; here[1] = false; here[2] = false;
	generation = diskGeneration; inDoubt = diskInDoubt; doubt = diskInDoubt;
	noted = false
}

inline lapse() {
	session = false;
	old[0] = (state[0] != NONE || open[0]); old[1] = (state[1] != NONE || open[1]);
	diskOld[0] = diskOpen[0]; diskOld[1] = diskOpen[1];
	m = 0;
	do
	:: m < MESSAGES ->
		if
		:: server[m] != DONE -> server[m] = QUEUED; id[m] = 0; acknowledged[m] = false; here[m] = false
		:: else
		fi;
		m++
	:: else -> break
	od;
	m = 0
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
	server[m] = SENT; again[m] = false; counts[m] = true; opened++;
	m = 0
}

inline serverTakes(k, x) {
	if
	:: k == CONNECT ->
		toClient!CONNACK(0,0,session);
		session = true; connected = true;
		m = 0;
		do
		:: m < MESSAGES ->
			again[m] = (server[m] == SENT);
			if
			:: server[m] == RELEASED -> toClient!PUBREL(id[m],m,false)
			:: else
			fi;
			m++
		:: else -> break
		od
	:: else ->
		m = 0;
		do
		:: uses(m, x) -> break
		:: else -> m++; assert(m < MESSAGES)
		od;
		if
		:: k == PUBREC -> assert(server[m] == SENT); server[m] = RELEASED; toClient!PUBREL(x,m,false)
		:: else ->
			server[m] = DONE; id[m] = 0;
			if
			:: counts[m] -> counts[m] = false; opened--
			:: else
			fi
		fi
	fi;
	m = 0
}

active proctype world() {
	byte m, x;
	bool flag, same;
	mtype k;
	if
	:: twice[0] = true
	:: twice[0] = false
	fi;
	twice[1] = true; twice[2] = true;
	if
	:: alike = true
	:: alike = false
	fi;
	do
	:: atomic { phase == DOWN -> connect() }
	:: atomic { lapses < LAPSES && session -> lapses++; stop(); lapse() }
	:: atomic { crashes < CRASHES -> crashes++; crash() }
	:: atomic { noted -> commit() }
	:: atomic { nempty(buffer) && empty(taken) ->
		do
		:: buffer?k,x -> taken!k,x
		:: empty(buffer) -> break
		od;
		waiting = noted; k = 0; x = 0 }
	:: atomic { nempty(taken) && !waiting -> taken?k,x; toServer!k,x; k = 0; x = 0 }
	:: atomic { toServer?k,x -> serverTakes(k, x); k = 0; x = 0 }
	:: atomic { connected && opened < MOST && ANY(sendable) && (ANY(again1) || isFree(0) || isFree(1)) -> serverSends() }
	:: atomic { !unnamed && nempty(toClient) -> toClient?k,x,m,flag;
		if
		:: k == CONNACK -> clientTakesConnack(flag)
		:: k == PUBLISH -> clientTakesPublish(x, m, flag)
		:: k == PUBREL -> clientTakesPubrel(x)
		fi;
		k = 0; x = 0; m = 0; flag = false }
	:: atomic { hold[0] != 0 -> consume(0); m = 0 }
	:: atomic { hold[1] != 0 -> consume(1); m = 0 }
	:: atomic { state[0] == DELIVERED && hold[0] == 0 -> acknowledge(0) }
	:: atomic { state[1] == DELIVERED && hold[1] == 0 -> acknowledge(1) }
	:: atomic { phase == UP && EACH(finished) && !noted && hold[0] == 0 && hold[1] == 0 ->
		assert(EACH(tookEach));
		assert(lapses > 0 || !diskOpen[0] && !diskOpen[1]); break }
	od
}
