package conformance

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed65a45251/mqtt/wire"
)

// runPlain runs checks on plain clients with a misbehaviour.
func runPlain(t *testing.T, bad func() misbehaviour, patience time.Duration, only func(*Statement) bool) []Result {
	open := func(context.Context) (Client, error) { return newPlain(bad()), nil }
	results, err := ClientRun{Open: open, Only: only, Parallel: 100, Patience: patience}.Run(t.Context())
	assert.NoError(t, err)
	return results
}

func wellBehaved() misbehaviour { return misbehaviour{} }

func stayingOpen() misbehaviour { return misbehaviour{staysOpen: true} }

func remembering() misbehaviour { return misbehaviour{remembers: true} }

func named(name string) func(*Statement) bool {
	return func(s *Statement) bool { return s.Name == name }
}

// changing returns a misbehaviour that changes the packets of one type.
func changing(t wire.PacketType, change func(b []byte) []byte) func() misbehaviour {
	return func() misbehaviour {
		return misbehaviour{send: func(b []byte) []byte {
			if b[0]>>4 != byte(t) {
				return b
			}
			return change(slices.Clone(b))
		}}
	}
}

// swapping returns a misbehaviour that sends the first two packets of one type in the
// wrong order.
func swapping(t wire.PacketType) func() misbehaviour {
	return func() misbehaviour {
		var held []byte
		count := 0
		return misbehaviour{send: func(b []byte) []byte {
			if b[0]>>4 != byte(t) {
				return b
			}
			switch count++; count {
			case 1:
				held = b
				return nil
			case 2:
				return slices.Concat(b, held)
			}
			return b
		}}
	}
}

func at(i int, change func(byte) byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i] = change(b[i])
		return b
	}
}

func replacing(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

// withAlias adds an alias to a PUBLISH of QoS 0 without properties.
func withAlias(alias byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		if at := 4 + int(b[3]); b[at] == 0 {
			b[1] += 3
			b = slices.Replace(b, at, at+1, 3, 0x23, 0, alias)
		}
		return b
	}
}

func nothing([]byte) []byte { return nil }

func reporting(change func(e *Event) bool) func() misbehaviour {
	return func() misbehaviour { return misbehaviour{event: change} }
}

func answering(ops string, change func(a Answer) Answer) func() misbehaviour {
	return func() misbehaviour {
		return misbehaviour{answer: func(op string, a Answer) Answer {
			if !strings.Contains(ops, op) {
				return a
			}
			return change(a)
		}}
	}
}

func succeeding(Answer) Answer { return Answer{OK: true} }
func failing(Answer) Answer    { return Answer{Error: "no"} }

func increment(b byte) byte { return b + 1 }

// planted are misbehaviours, each with a check that has to find it and a part of what
// it has to say.
var planted = []struct {
	check string
	bad   func() misbehaviour
	says  string
}{
	{"bom", reporting(func(e *Event) bool { e.Topic = strings.TrimPrefix(e.Topic, "\uFEFF"); return true }), "the topic is"},
	{"varint-send", changing(wire.TypePublish, func(b []byte) []byte {
		if len(b) == 129 { // one byte of length
			b = slices.Insert(b, 2, 0)
			b[1] |= 0x80
		}
		return b
	}), "sends"},
	{"big-endian", changing(wire.TypeConnect, replacing("\x01\x02", "\x02\x01")), "258 is sent as 513"},
	{"empty-binary", changing(wire.TypePublish, replacing("\x03\x09\x00\x00", "\x03\x23\x00\x01")), "not sent"},
	{"stream", reporting(func(e *Event) bool { return !strings.HasSuffix(e.Topic, "/2") }), "not on"},
	{"header-send", changing(wire.TypePubrel, at(0, func(b byte) byte { return b &^ 2 })), "a packet that is wrong"},
	{"header-send", changing(wire.TypeUnsubscribe, at(0, func(b byte) byte { return b &^ 2 })), "a packet that is wrong"},
	{"no-identifier-at-qos-0", changing(wire.TypePublish, replacing("ab", "ab\x00\x01")), "want"},
	{"topic-first", changing(wire.TypePublish, replacing("ab", "ba")), "want"},
	{"identifiers", func() misbehaviour { return misbehaviour{sameID: true} }, "in use"},
	{"identifier-held", func() misbehaviour { return misbehaviour{sameID: true} }, "used again before PUBCOMP"},
	{"identifiers-of-both-sides", changing(wire.TypePuback, at(3, increment)), "PUBACK has the identifier"},
	{"identifier-repeated", changing(wire.TypePubcomp, at(3, increment)), "PUBCOMP has the identifier"},
	{"suback-unknown", func() misbehaviour { return misbehaviour{confused: true} }, "reported as done"},
	{"stray-acks", func() misbehaviour { return misbehaviour{confused: true} }, "reported as done"},
	{"properties-sent", changing(wire.TypePublish, replacing("text/plain", "text/PLAIN")), "the properties are"},
	{"properties-received", reporting(func(e *Event) bool {
		if e.Properties != nil {
			slices.Reverse(e.Properties.UserProperties)
			e.Properties.UserProperties = e.Properties.UserProperties[:min(1, len(e.Properties.UserProperties))]
		}
		return true
	}), "the user properties are"},
	{"subscription-identifiers", reporting(func(e *Event) bool { e.Properties = nil; return true }), "does not see all three"},
	{"user-properties-connect", changing(wire.TypeConnect, replacing("\x26\x00\x01b\x00\x011", "\x26\x00\x01c\x00\x011")), "the user properties are"},
	{"connect-first", changing(wire.TypeConnect, replacing("MQTT", "mqtt")), "wrong"},
	{"connect-flags", changing(wire.TypeConnect, replacing("MQTT\x04\x02", "MQTT\x04\x22")), "wrong"},
	{"will-fields", changing(wire.TypeConnect, replacing("gone", "GONE")), "the will is"},
	{"will-properties", changing(wire.TypeConnect, replacing("text/plain", "text/PLAIN")), "the will is"},
	{"credentials", changing(wire.TypeConnect, replacing("password", "PASSWORD")), "CONNECT is"},
	{"username-alone", changing(wire.TypeConnect, at(9, func(b byte) byte { return b | 0x40 })), "wrong"},
	{"refusal-ends", stayingOpen, "leaves the connection open"},
	{"refusal-with-present", answering("connect", succeeding), "reports success"},
	{"connack-codes", answering("connect", succeeding), "reports success"},
	{"closed-without-connack", answering("connect", succeeding), "reports success"},
	{"version-refused", answering("connect", succeeding), "reports success"},
	{"connack-codes-listed", func() misbehaviour { return misbehaviour{accepts: true} }, "goes on"},
	{"publish-first-sending", changing(wire.TypePublish, at(0, func(b byte) byte {
		if b&6 != 0 {
			b |= 8
		}
		return b
	})), "DUP is set"},
	{"empty-retained", changing(wire.TypePublish, at(0, func(b byte) byte { return b &^ 1 })), "the client sends"},
	{"dup-first", reporting(func(e *Event) bool { return !e.Dup }), "no event"},
	{"answer-by-qos", changing(wire.TypePubrec, at(0, func(byte) byte { return 0x40 })), "want PUBREC"},
	{"unwanted", changing(wire.TypePuback, nothing), "want PUBACK"},
	{"empty-payload", reporting(func(e *Event) bool { e.PayloadBase64 = []byte("x"); return true }), "the payload is"},
	{"retain-received", reporting(func(e *Event) bool { e.Retain = false; return true }), "not shown"},
	{"order-of-messages", swapping(wire.TypePuback), "comes as number"},
	{"puback-order", swapping(wire.TypePuback), "want PUBACK"},
	{"pubrec-order", swapping(wire.TypePubrec), "comes as number"},
	{"pubrel-order", swapping(wire.TypePubrel), "comes before"},
	{"publish-order", swapping(wire.TypePublish), "comes as number"},
	{"ack-forms", answering("publish", failing), "publish: no"},
	{"pubrel-forms", changing(wire.TypePubcomp, at(0, func(byte) byte { return 0x40 })), "want PUBCOMP"},
	{"puback-failure", answering("publish", succeeding), "reports success"},
	{"pubrec-failure", answering("publish", succeeding), "reports success"},
	{"no-matching-subscribers", answering("publish", failing), "publish: no"},
	{"subscribe-options", changing(wire.TypeSubscribe, func(b []byte) []byte { b[len(b)-1] |= 0x80; return b }), "a packet that is wrong"},
	{"subscribe-options-before-5", changing(wire.TypeSubscribe, func(b []byte) []byte { b[len(b)-1] |= 8; return b }), "the client sends"},
	{"message-before-suback", reporting(func(*Event) bool { return false }), "no event"},
	{"suback-codes", answering("subscribe", succeeding), "reports success"},
	{"unsubscribe-filters", changing(wire.TypeUnsubscribe, replacing("$share", "$SHARE")), "the filters are"},
	{"no-subscription-existed", answering("unsubscribe", failing), "unsubscribe: no"},
	{"after-unsubscribe", changing(wire.TypePubcomp, at(0, func(byte) byte { return 0x40 })), "want PUBCOMP"},
	{"legal-filters", changing(wire.TypeSubscribe, replacing("/", "-")), "a packet that is wrong"},
	{"legal-topics", reporting(func(e *Event) bool { e.Topic = strings.ToLower(e.Topic); return true }), "is reported as"},
	{"shared-match", reporting(func(*Event) bool { return false }), "no event"},
	{"keep-alive", func() misbehaviour { return misbehaviour{silent: true} }, "no PINGREQ"},
	{"keep-alive-received", func() misbehaviour { return misbehaviour{silent: true} }, "no PINGREQ"},
	{"disconnect-last", changing(wire.TypeDisconnect, func(b []byte) []byte { return append(b, 0x40, 2, 0, 1) }), "want the end"},
	{"disconnect-with-will", changing(wire.TypeDisconnect, func([]byte) []byte { return []byte{0xE0, 0} }), "DISCONNECT has 0x00"},
	{"disconnect-forms", stayingOpen, "leaves the connection open"},
	{"redirection", stayingOpen, "leaves the connection open"},
	{"auth-challenge", changing(wire.TypeAuth, replacing("re:", "RE:")), "AUTH has the data"},
	{"auth-refused", answering("connect", succeeding), "reports success"},
	{"reauthenticate", changing(wire.TypeAuth, replacing("\x19", "\x18")), "AUTH has 0x18"},
	{"pubrel-answers-pubrec", changing(wire.TypePubrel, at(3, increment)), "PUBREL has the identifier"},
	{"no-resend-on-live-connection", func() misbehaviour { return misbehaviour{resends: true} }, "want nothing"},
	{"identifier-again-qos-1", reporting(func(e *Event) bool { return !e.Dup }), "no event"},
	{"identifier-again-qos-2", reporting(func(e *Event) bool { return !strings.HasSuffix(e.Topic, "/2") }), "no event"},
	{"expired-receiver", changing(wire.TypePubrec, nothing), "nothing comes"},
	{"maximum-qos-subscribe", changing(wire.TypeSubscribe, func(b []byte) []byte { b[len(b)-1] = 3; return b }), "a packet that is wrong"},
	{"response-information", changing(wire.TypeConnect, replacing("\x02\x19\x01", "\x02\x19\x00")), "does not ask"},
	{"repeated-qos-2", func() misbehaviour { return misbehaviour{doubles: true} }, "not on"},
	{"receive-maximum-kept", func() misbehaviour {
		count := 0
		return changing(wire.TypePubrec, func(b []byte) []byte {
			if count++; count > 1 {
				return nil
			}
			return b
		})()
	}, "nothing comes"},
	{"redirection-without-server", answering("connect", succeeding), "reports success"},
	{"failure-not-resent", remembering, "want nothing"},
	{"alias-automatic", changing(wire.TypePublish, withAlias(3)), "the alias is 3"},
	{"alias-none", changing(wire.TypePublish, withAlias(1)), "the alias is 1"},
	{"other-client-id", remembering, "of the other session"},
	{"session-lost", remembering, "with DUP"},
	{"clean-start-discards", remembering, "with DUP"},
	{"expiry-0-ends-session", remembering, "with DUP"},
	{"several-filters", answering("subscribe", func(a Answer) Answer { slices.Reverse(a.Codes); return a }), "the program sees"},
	{"connect-once", changing(wire.TypeConnect, func(b []byte) []byte { return append(b, b...) }), "a second CONNECT"},
	{"keep-alive-asked-again", func() misbehaviour {
		count := 0
		return changing(wire.TypeConnect, func(b []byte) []byte {
			b[11] += byte(count)
			count++
			return b
		})()
	}, "it has 61"},
	{"stray-pubrec", changing(wire.TypePubrel, nothing), "there is no answer"},
	{"stray-pubrel", changing(wire.TypePubcomp, nothing), "there is no answer"},
	{"message-expiry-0", changing(wire.TypePublish, replacing("\x02\x00\x00\x00\x00", "\x01\x01\x23\x00\x01")), "left out"},
	{"disconnect-header", stayingOpen, "goes on"},
	{"disconnect-code-listed", stayingOpen, "goes on"},
	{"disconnect-expiry", stayingOpen, "goes on"},
	{"disconnect-before-5", stayingOpen, "goes on"},
	{"property-once-disconnect", stayingOpen, "goes on"},
	{"clean-start-on-reconnect", changing(wire.TypeConnect, func(b []byte) []byte { b[9] |= 2; return b }), "clean start"},
}

// A check finds what it is for, and finds nothing in a client that does not do it.
func TestChecksFindPlantedFaults(t *testing.T) {
	names := map[string]bool{}
	for _, fault := range planted {
		names[fault.check] = true
	}
	blamed := map[string]string{}
	for _, r := range runPlain(t, wellBehaved, 0, func(s *Statement) bool { return names[s.Name] }) {
		if r.Outcome > Cannot {
			blamed[r.Name] = r.Detail
		}
	}
	found := make([]string, len(planted))
	var running sync.WaitGroup
	for i, fault := range planted {
		running.Go(func() {
			for _, r := range runPlain(t, fault.bad, 0, named(fault.check)) {
				if r.Outcome == Fails || r.Outcome == Departs {
					found[i] += r.Detail
				}
			}
		})
	}
	running.Wait()
	for i, fault := range planted {
		assert.Empty(t, blamed[fault.check], "%s blames a client without the fault as well", fault.check)
		assert.Contains(t, found[i], fault.says, fault.check)
	}
}

// passesForAll are the checks that blame no client without a way to reconnect: the text
// permits everything that is seen, or the client's interface may not show it.
var passesForAll = []string{
	"control-characters", "varint-longer-form", "no-subscription-identifier", "connack-timeout", "credentials-empty",
	"password-alone-5", "client-id-empty", "present-reported", "response-information-unasked", "assigned-client-id-missing",
	"assigned-client-id", "refusal-text", "dup-at-qos-0", "payload-format", "pubrec-for-qos-1", "server-keep-alive-0",
	"keep-alive-0", "pingresp-unasked", "expiry-at-the-end", "protocol-error-keeps-session",
}

// A client that checks nothing is seen to break each statement, except for those for
// which a fault is planted.
func TestChecksFindAClientThatChecksNothing(t *testing.T) {
	for _, r := range runPlain(t, wellBehaved, 3*time.Second, nil) {
		ok := r.Outcome == Passes || r.Outcome == Cannot || r.Outcome == NotObserved && r.Statement.NotObserved == ""
		known := slices.Contains(passesForAll, r.Name) || slices.ContainsFunc(planted, func(p struct {
			check string
			bad   func() misbehaviour
			says  string
		}) bool {
			return p.check == r.Name
		})
		if ok && !known {
			assert.Fail(t, "passes", "%s", r)
		}
	}
}
