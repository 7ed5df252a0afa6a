package simulation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plant is a mistake that the simulation has to find. Its old text is in the file exactly
// once.
type plant struct{ name, file, old, new string }

// plants are the mistakes. The step "planted mistakes found" of .ci/run makes each of them in
// a copy of its file and requires that the simulation fails.
var plants = []plant{
	// What we send: quota, identifiers, order.
	{"send quota released on PUBREC", "session/sender_acks.go",
		"o.state = outgoingReleased\n", "o.state = outgoingReleased\n\t\ts.uncount(o)\n"},
	{"send quota of a refused message kept", "session/sender.go",
		"	s.endExchange(o, from)\n", "	kept := o.counted && r.Err != nil\n	s.endExchange(o, from)\n	if kept {\n		s.count(o)\n	}\n"},
	{"send quota ignored for repeats", "session/sender.go",
		"s.resend.seq <= last && s.mayPublish(s.resend)", "s.resend.seq <= last && s.mayBegin(s.resend)"},
	{"one message more than the quota", "session/sender.go", "return q.used < q.limit", "return q.used <= q.limit"},
	{"quota of the last connection", "session/sender_start.go",
		"	s.countNone()\n", "	if kind < Proven {\n		s.countNone()\n	}\n"},
	{"quota given back by messages that fail at the start", "session/sender_start.go",
		"			o.counted = false\n		}\n	}\n}\n\n// repeat", "		}\n	}\n}\n\n// repeat"},
	{"own limit ignored", "session/sender_start.go", "if s.quota.max > 0 {", "if false {"},
	{"identifier reused early", "session/ids.go", "if t.messages[t.last] == nil && t.requests", "if (t.messages[t.last] == nil || t.messages[t.last].state == outgoingReleased) && t.requests"},
	{"identifier of a request reused", "session/ids.go", " && t.requests[t.last] == nil", ""},
	{"identifier of a given up message freed", "session/sender.go", "		s.ids.abandon(o)\n", "		s.ids.freeMessage(o)\n"},
	{"identifier freed twice", "session/sender.go", "	s.ids.freeMessage(o)\n	s.uncount(o)\n", "	s.ids.freeMessage(o)\n	s.ids.used--\n	s.uncount(o)\n"},
	{"identifiers of an inherited session not released", "session/sender_start.go", "inherited{any: true}", "inherited{}"},
	{"identifier used before PUBCOMP", "session/sender_inherited.go", "i >= len(in.gone) ||", "in.open == nil && i >= len(in.gone) ||"},
	{"new messages before repeats", "session/sender.go", "for !s.repeating() && !s.link.full()", "for !s.link.full()"},
	{"repeats in the wrong order", "session/sender_start.go", "return cmp.Compare(a.seq, b.seq)", "return cmp.Compare(b.seq, a.seq)"},
	{"repeats without DUP", "session/sender_start.go", "		o.Publish.Duplicate = true\n", ""},
	{"DUP kept for a new session", "session/sender_start.go", "				o.Publish.Duplicate = false\n", ""},
	{"PUBREL not repeated", "session/sender_start.go", "s.rerelease, s.probeDue = s.released.head, true", "s.rerelease, s.probeDue = nil, true"},
	{"PUBLISH repeated after PUBREC", "session/sender_acks.go", "		s.released.push(o)\n", "		s.published.push(o)\n"},
	{"PUBREL before PUBREC", "session/sender.go", "	o.state = outgoingPublished\n	o.sent = true\n", "	o.state = outgoingPublished\n	o.sent = true\n	if o.Publish.QoS > 1 && o.seq%8 == 0 {\n		s.link.pubrel(o.Publish.PacketID, 0)\n	}\n"},
	{"QoS 2 entry kept after an error PUBREC", "session/sender_acks.go",
		"		// [MQTT-4.3.3-4] a failure ends the exchange without PUBREL.\n		s.finishPublished(o,", "		o.sent = false\n		if o.Publish.QoS > 1 {\n			s.complete(o, Result{Err: p.ReasonCode})\n			return nil\n		}\n		s.finishPublished(o,"},
	{"error PUBACK taken for success", "session/sender_acks.go", "	if code.Failed() {\n		r.Err =", "	if code.Failed() && t != wire.TypePuback {\n		r.Err ="},
	{"PUBACK completes nothing", "session/sender_acks.go", "	s.finishPublished(o, resultOf(wire.TypePuback,", "	if o.seq%16 == 5 {\n		return nil\n	}\n	s.finishPublished(o, resultOf(wire.TypePuback,"},
	{"message lost with the session", "session/sender_start.go", "	s.queue.prepend(open)\n", "	if len(open) > 1 {\n		open = open[:1]\n	}\n	s.queue.prepend(open)\n"},
	{"message of a lost session not sent again", "session/sender_start.go", "	for _, l := range []*outgoingList{&s.published, &s.released} {\n		for o := l.head; o != nil; {", "	for _, l := range []*outgoingList{&s.published} {\n		for o := l.head; o != nil; {"},
	{"withdrawn message sent", "session/sender.go", "	s.dequeue(o)\n	if o.Publish.PacketID != 0 {", "	if o.Publish.PacketID != 0 {"},
	{"message withdrawn after it was sent", "session/sender.go", "if o.state != outgoingQueued || o.sent {", "if o.state != outgoingQueued {"},
	{"maximum QoS ignored", "session/limits.go", "if p.QoS > l.MaximumQoS {", "if p.QoS > 2 {"},
	// Topic aliases.
	{"alias kept over a reconnect", "session/alias_outgoing.go",
		"		l.aliases = &topicAliases{max: min(n, maxAlias)}\n	}\n}\n", "		if kept == nil || kept.max != n {\n			kept = &topicAliases{max: min(n, maxAlias)}\n		}\n		l.aliases = kept\n	}\n}\n\nvar kept *topicAliases\n"},
	{"alias above the maximum", "session/client_connack.go", "c.link.UseAliases(int(min(c.settings.TopicAliases, c.link.Limits.TopicAliasMaximum)))", "c.link.UseAliases(int(c.settings.TopicAliases))"},
	{"alias used before it is set", "session/alias_outgoing.go", "AppendAliased(l.buf, uint16(alias), known)", "AppendAliased(l.buf, uint16(alias), known || alias == 2)"},
	{"alias of another topic", "session/alias_outgoing.go", "	if a.last == 0 || a.used[a.last].topic != topic {", "	if a.last == 0 || len(a.used[a.last].topic) != len(topic) {"},
	{"incoming alias never changes", "session/alias_incoming.go", "	a.bytes += len(topic)\n	a.topics[alias] = topic\n", "	a.bytes += len(topic)\n	a.topics[alias] = topic[:max(1, len(topic)-a.bytes/24)]\n"},
	{"repeat does not set its alias", "session/receiver.go", "	if err := r.aliases.resolve(p); err != nil", "	if p.Duplicate && p.Topic != \"\" {\n	} else if err := r.aliases.resolve(p); err != nil"},
	// Which session it is.
	{"session believed on the way back", "session/continuity.go", "case s.generation != k.generation || k.generation == 0:", "case k.generation == 0:"},
	{"session believed after a lost CONNACK", "session/continuity.go", "		at.doubt, at.unanswered = true, true\n", "		at.unanswered = true\n"},
	{"session believed after a late clean start", "session/continuity.go", "	case now.Before(at.eraser):\n", "	case false:\n"},
	{"new session taken for the old one", "session/continuity.go", "	case !present:\n		k.here = Fresh", "	case !present && k.generation == 0:\n		k.here = Fresh"},
	{"session forgotten after the connection", "session/client_connack.go", "	return c.SessionExpiryInterval() > 0\n", "	return false\n"},
	{"doubtful PUBCOMP believed", "session/sender_doubt.go", "	proven := d.tells == tellsTruth && len(d.held) > 0", "	proven := true"},
	{"doubtful PUBREC believed before 5.0", "session/sender_doubt.go", "		o.doubtful = true\n", "		o.doubtful = s.link.Version == wire.V5\n"},
	{"not found taken for a proof", "session/sender_doubt.go", "	if p.ReasonCode == wire.PacketIdentifierNotFound {\n		s.doubt.tells = tellsTruth\n		o.Complete", "	if p.ReasonCode == wire.PacketIdentifierNotFound && o.seq == 0 {\n		s.doubt.tells = tellsTruth\n		o.Complete"},
	// What we receive.
	{"acknowledgement before the hand-over", "session/receiver.go", "in != nil && in.state == incomingAcknowledged; in = r.arrived.head", "in != nil && in.state <= incomingAcknowledged; in = r.arrived.head"},
	{"acknowledgement of a later message first", "session/receiver.go", "	if r.unordered {", "	if r.unordered || in.id%4 == 3 {"},
	{"two acknowledgements swapped", "session/incoming.go", "	in.prev, in.next = l.tail, nil\n	if l.tail == nil {", "	if l.tail != nil && l.tail == l.head {\n		in.prev, in.next, l.head, l.tail.prev = nil, l.tail, in, in\n		return\n	}\n	in.prev, in.next = l.tail, nil\n	if l.tail == nil {"},
	{"acknowledgement forgotten", "session/receiver.go", "	in.reason, in.text = code, text\n", "	in.reason, in.text = code, text\n	if r.byID.len > 2 {\n		return nil\n	}\n"},
	{"acknowledgement without a connection lost", "session/receiver.go", "	in.state = incomingAcknowledged\n	in.reason, in.text = code, text\n", "	if !r.link.open {\n		return nil\n	}\n	in.state = incomingAcknowledged\n	in.reason, in.text = code, text\n"},
	{"QoS 2 repeat delivered again", "session/receiver_repeat.go", "return !in.doubtful || r.resembles(in, p)", "return false"},
	{"QoS 2 repeat without DUP delivered again", "session/receiver_repeat.go", "return in.qos == wire.ExactlyOnce && in.state != incomingDiscarded && r.resembles(in, p)", "return false"},
	{"new message taken for a repeat", "session/receiver_repeat.go", "	case in.epoch != r.epoch && !p.Duplicate:", "	case in.epoch != r.epoch:\n		return true\n	case in.epoch != r.epoch && !p.Duplicate:"},
	{"new message without DUP taken for a repeat", "session/receiver_repeat.go", "in.state != incomingDiscarded && r.resembles(in, p)", "in.state != incomingDiscarded"},
	{"received identifiers kept for a new session", "session/receiver.go", "	if !resumed {\n		r.Forget()\n	}\n", ""},
	{"received identifiers forgotten with the connection", "session/receiver.go", "	r.max = max\n", "	r.max = max\n	r.Forget()\n"},
	{"received identifiers of another server", "session/client_connack.go", "	c.Receiver.moveTo(id)\n", ""},
	{"identifier kept after PUBREL", "session/receiver.go", "	// [MQTT-4.3.3-11], [MQTT-4.3.3-12]\n	r.release(in)\n", "	// [MQTT-4.3.3-11], [MQTT-4.3.3-12]\n"},
	{"identifier kept after PUBACK", "session/receiver.go", "		// [MQTT-4.3.2-5] from now on the identifier stands for a new message.\n		r.release(in)\n", "		in.state = incomingReceived\n"},
	{"PUBCOMP not sent", "session/receiver.go", "	r.release(in)\n	r.link.pubcomp(p.PacketID, wire.Success)\n", "	r.release(in)\n	if p.PacketID < 6 {\n		r.link.pubcomp(p.PacketID, wire.Success)\n	}\n"},
	{"PUBREL for nothing not answered", "session/receiver.go", "		r.link.pubcomp(p.PacketID, wire.PacketIdentifierNotFound)\n		return nil\n	}\n	if in.state", "		return nil\n	}\n	if in.state"},
	{"own receive maximum counted wrongly", "session/receiver.go", "		r.open--\n", ""},
	{"identifier lost in the table", "session/incoming.go", "for i := t.next(free); t.slots[i] != nil; i = t.next(i) {", "for i := t.next(free); false; i = t.next(i) {"},
	{"subscription identifier of an earlier message", "wire/publish_decode.go", "	q.SubscriptionIDs = nil", "	// q.SubscriptionIDs = nil"},
	// Subscriptions.
	{"filters not asked for again", "session/subscriptions_send.go", "again := kind < Proven || s.link.Version", "again := s.link.Version"},
	{"unanswered SUBSCRIBE forgotten", "session/subscriptions_send.go", "				if a.state == askSent {\n					a.become(askDue)", "				if false {\n					a.become(askDue)"},
	{"requests lost with the connection", "session/client_end.go", "	c.Subscriptions.stop()\n", ""},
	// Packets because of which the server hangs up.
	{"poison blocks the queue", "session/sender_blame.go", "alone && single && list[0].alone >= undeliverableAfter", "alone && single && list[0].alone >= 200"},
	{"innocent message given up", "session/sender_blame.go", "alone && single && list[0].alone >= undeliverableAfter", "single && list[0].seen >= suspectAfter"},
	{"network fault blamed on a message", "session/sender_blame.go", "	case cause == nil:\n		return\n", "	case cause == nil:\n		cause = errHungUp\n"},
	// The Store.
	{"PUBREL written before the record of its PUBREC", "internal/durable/journal.go", "Position() uint64 { return j.appended }", "Position() uint64 { return j.committed }"},
	{"record removed before its acknowledgement", "internal/durable/journal.go", "			e.released, e.doubtful = j.releases, o.Doubtful()\n", "			e.released, e.doubtful = j.releases, o.Doubtful()\n			j.Forget(o.Seq())\n"},
	{"record kept after its acknowledgement", "internal/durable/journal.go", "		j.Forget(o.Seq())\n	}\n}\n\n// Forget", "		if o.Seq()%4 != 3 {\n			j.Forget(o.Seq())\n		}\n	}\n}\n\n// Forget"},
	{"identifier of a message that is not stored forgotten", "internal/durable/load.go", "	for _, id := range f.unstored {\n", "	for _, id := range f.unstored[:0] {\n"},
	{"identifier not reserved after a restart", "internal/durable/load.go", "= r.exchange.id, r.sent && r.exchange.id == 0\n", "= 0, true\n"},
	{"PUBREC forgotten in a restart", "internal/durable/load.go", "r.number, r.exchange.released > 0, r.exchange.doubtful)", "r.number, false, false)"},
	{"recovered messages in the wrong order", "internal/durable/load.go", "cmp.Compare(a.number, b.number))", "cmp.Compare(b.number, a.number))"},
	{"numbers used again after a restart", "internal/durable/load.go", "	c.Sender.SetLastSeq(max(f.last, j.line.last))\n", ""},
	{"recovered messages of the queue lost", "internal/durable/load.go", "			f.waiting = append(f.waiting, r)\n", ""},
	{"torn record accepted", "internal/durable/record.go", "case checksum(v) != binary", "case len(v) < 7 && checksum(v) != binary"},
	{"layout of a damaged record believed", "internal/durable/record.go", "crc32.Checksum(v[:1], castagnoli)", "0"},
	{"identifier of a damaged record used again", "internal/durable/load.go", "	if j.identifiersLost() {", "	if false {"},
	{"message sent that the Store has refused", "internal/durable/accept.go", "		case e.err != nil:\n", "		case e.err != nil && e.size == 0:\n"},
	{"changes lost when a Commit fails", "internal/durable/batch.go", "		j.changes = append(again, j.changes...)\n", ""},
	{"failed Commit counts", "internal/durable/batch.go", "	b.err = b.commitChanges(s)\n", "	b.commitChanges(s)\n"},
	{"withdrawn message of the line sent", "internal/durable/line.go", "	l.gone[o.Seq()] = true\n", ""},
	{"message of the line passed over", "internal/durable/line.go", "		l.next = f.number + 1\n", "		if l.next = f.number + 1; len(b.found) > 1 && i == 0 {\n			continue\n		}\n"},
	{"new messages pass those of the line", "internal/durable/accept.go", "case j.line.empty() && (j.windowOpen()", "case (j.windowOpen()"},
	{"messages that are not stored wait forever", "internal/durable/line.go", "	return !l.empty() && !l.reading", "	return l.messages > 0 && !l.reading"},
	{"sessions not recorded", "internal/durable/journal.go", "!bytes.Equal(v, j.written) {", "!bytes.Equal(v, j.written) && len(j.written) == 0 {"},
	{"received message not recorded", "session/receiver_journal.go", "	r.journal.Received(in.keep.session, ", "	r.journal.Finished(in.keep.session, "},
	{"received message recorded for another server", "session/receiver_journal.go", "	r.journal.Received(in.keep.session, ", "	r.journal.Received(r.at.id, "},
	{"end of a received message not recorded", "session/receiver_journal.go", "	r.journal.Finished(s, in.record())", "	_ = s"},
	{"identifiers of an inherited session used after a restart", "session/client_connack.go", "	if c.continuity.current.inherited {", "	if false {"},
	{"late clean start forgotten in a restart", "session/client_continuity.go", "s.Doubt || !s.Eraser.IsZero()", "s.Doubt"},
	{"unanswered CONNECT not recorded", "session/client_continuity.go", "s.doubt || open, s.unanswered || open,", "s.doubt || open && false, s.unanswered || open && false,"},
	{"abandoned identifier not recorded", "session/sender.go", "			s.journal.Abandon(o.Publish.PacketID)\n", ""},
	// Time.
	{"dead connection not noticed", "session/keepalive.go", "		return false, ErrKeepAlive\n", "		return false, nil\n"},
	{"back-off reset on CONNACK", "reconnect/backoff.go", "{ b.up = now }", "{ b.up, b.attempts = now, 0 }"},
	{"no PINGREQ while we receive", "session/keepalive.go", "	case k.received.Before(k.sent):\n		return k.received.Add(k.interval)\n	}\n	return k.sent.Add(k.interval)", "	case k.received.Before(k.sent):\n		return k.received.Add(2 * k.interval)\n	}\n	return k.received.Add(2 * k.interval)"},
}

// plantsOfClient are mistakes in package mqtt, which the tests in internal/clienttest have to
// find.
var plantsOfClient = []plant{
	{"subscription identifier of an earlier process", "subscribe_router.go", "	case n == 1 && !r.inherited:\n", "	case n == 1:\n"},
	{"subscription identifier of an earlier process remembered", "subscribe_router.go", "!r.inherited && g.single()", "g.single()"},
}

// A plant whose text is no longer there would find nothing.
func TestPlantsFit(t *testing.T) {
	seen := map[string]bool{}
	var stale []string
	for _, p := range slices.Concat(plants, plantsOfClient) {
		require.False(t, seen[p.name], p.name)
		seen[p.name] = true
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(p.file)))
		require.NoError(t, err, p.name)
		require.NotEqual(t, p.old, p.new, p.name)
		if n := strings.Count(string(source), p.old); n != 1 {
			stale = append(stale, fmt.Sprintf("%s: its text is %d times in %s", p.name, n, p.file))
		}
	}
	require.Empty(t, stale, "a change of the code moved the place of these mistakes: give them their new text in plants_test.go")
}
