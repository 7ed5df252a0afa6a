package broker

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// possession is everything that a refused CONNECT could take from a session.
type possession struct {
	session *client
	conn    connection
	expiry  uint32
	will    *will
	alarm   alarm
	seen    seen
	filters map[string]*subscription
	waiting int
	leaving []*will
	durable bool
}

func possessionOf(b *Broker, id string) possession {
	b.mu.RLock()
	defer b.mu.RUnlock()
	cl := b.clients[id]
	if cl == nil {
		return possession{}
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return possession{cl, cl.conn, cl.expiry, cl.will, cl.alarm, cl.seen, cl.subscriptions, cl.held.messages, cl.leaving, cl.durable.Load()}
}

// owner connects a client with a session, a will, a subscription and messages: one that
// is sent and one that waits. Then it goes, unless it stays.
func owner(t *testing.T, b *Broker, v wire.Version, stays bool) *script {
	t.Helper()
	p := durableConnect(v, "c")
	p.Username, p.Password = new("u"), []byte("p")
	p.Will = &wire.Will{Topic: "will", Payload: []byte("gone")}
	if v == wire.V5 {
		p.Will.DelayInterval, p.ReceiveMaximum = 30, 1
	}
	s, _ := join(t, b, v, p)
	s.subscribe(filter("f", 1))
	share := func() { require.NoError(t, b.Publish(&wire.Publish{Topic: "f", Payload: []byte("waits"), QoS: 1})) }
	share()
	receive[*wire.Publish](s)
	if !stays {
		s.cut()
	}
	share()
	if v < wire.V5 && stays {
		receive[*wire.Publish](s)
	}
	return s
}

// refusedConnects are the ways to be refused, whatever the session is.
func refusedConnects() map[string]func(p *wire.Connect) wire.Version {
	version := func(p *wire.Connect) wire.Version {
		if p.SessionExpiryInterval > 0 {
			return wire.V5
		}
		return wire.V311
	}
	return map[string]func(p *wire.Connect) wire.Version{
		"credentials": func(p *wire.Connect) wire.Version {
			p.Password = []byte("wrong")
			return version(p)
		},
		"QoS of the will": func(p *wire.Connect) wire.Version {
			p.Will = &wire.Will{Topic: "w", QoS: 2}
			return version(p)
		},
		"retained will": func(p *wire.Connect) wire.Version {
			p.Will = &wire.Will{Topic: "w", Retain: true}
			return version(p)
		},
		"version": func(p *wire.Connect) wire.Version {
			p.SessionExpiryInterval = 0
			return wire.V31
		},
		"stopping": func(p *wire.Connect) wire.Version { return version(p) },
		"packet size": func(p *wire.Connect) wire.Version {
			p.MaximumPacketSize = 8
			return wire.V5
		},
		"no packet at all": func(p *wire.Connect) wire.Version {
			p.MaximumPacketSize = 4
			return wire.V5
		},
		"unknown method": func(p *wire.Connect) wire.Version {
			p.AuthenticationMethod = "none"
			return wire.V5
		},
		"denied method": func(p *wire.Connect) wire.Version {
			p.AuthenticationMethod = "DENY"
			return wire.V5
		},
		"no answer": func(p *wire.Connect) wire.Version {
			p.AuthenticationMethod = "ASK"
			return wire.V5
		},
	}
}

// denying is an enhanced authentication that lets nobody in.
type denying string

func (d denying) AuthenticationMethod() string { return string(d) }
func (d denying) Begin(*Login) Exchange        { return d }

func (d denying) Next(context.Context, []byte) ([]byte, Decision) {
	if d == "ASK" {
		return []byte("who?"), Pass()
	}
	return nil, Deny(wire.NotAuthorized, "nobody")
}

func guarded(s store.Store) Config {
	return Config{
		Store:      s,
		NoRetained: true, MaximumQoS: new(wire.AtLeastOnce), Versions: []wire.Version{wire.V311, wire.V5},
		EnhancedAuthenticators: []EnhancedAuthenticator{denying("DENY"), denying("ASK")},
		Authenticators: []Authenticator{AuthenticatorFunc(func(_ context.Context, l *Login) Decision {
			if string(l.Password) == "p" {
				return Allow()
			}
			return Deny(wire.NotAuthorized, "who?")
		})},
	}
}

func TestARefusedConnectChangesNoSession(t *testing.T) {
	for name, refused := range refusedConnects() {
		for _, v := range []wire.Version{wire.V311, wire.V5} {
			for _, durable := range []bool{false, true} {
				for _, stays := range []bool{false, true} {
					for _, clean := range []bool{false, true} {
						synctest.Test(t, func(t *testing.T) {
							cfg := guarded(nil)
							var m *store.Mem
							if durable {
								m = store.Memory()
								cfg.Store = m
							}
							b := New(cfg)
							defer b.Close()
							s := owner(t, b, v, stays)
							advance(time.Second)
							before := possessionOf(b, "c")
							var records []store.Record
							if durable {
								records = recordsIn(t, m)
							}

							p := durableConnect(v, "c")
							p.CleanStart, p.Username, p.Password = clean, new("u"), []byte("p")
							rival := dial(t, b, refused(p))
							b.mu.Lock()
							b.stopping.Store(name == "stopping")
							b.mu.Unlock()
							rival.send(p)
							advance(20 * time.Second)
							for {
								answer, err := rival.next()
								if err != nil {
									break
								}
								if ack, ok := answer.(*wire.Connack); ok {
									require.True(t, ack.ReasonCode.Failed())
									require.False(t, ack.SessionPresent)
									require.False(t, p.MaximumPacketSize == 4, "[MQTT-3.1.2-24]")
								}
							}
							rival.cut()
							require.Equal(t, before, possessionOf(b, "c"), "%s, %v, clean start: %v", name, v, clean)
							if durable {
								require.Equal(t, records, recordsIn(t, m))
							}
							if stays {
								s.send(&wire.Pingreq{})
								s.want(&wire.Pingresp{})
							}
						})
					}
				}
			}
		}
	}
}

func recordsIn(t *testing.T, m *store.Mem) (found []store.Record) {
	t.Helper()
	for record, err := range m.Scan([]byte("B")) {
		require.NoError(t, err)
		if record.Key[1] == byte(records.ClockKind) {
			continue
		}
		found = append(found, store.Record{Key: bytes.Clone(record.Key), Value: bytes.Clone(record.Value)})
	}
	return found
}

// Its will is published when it was due, and it ends when it was to end.
func TestTheClocksOfASessionGoOnThroughARefusal(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		wills := clean(t, b, "wills")
		wills.subscribe(filter("will", 0))
		owner(t, b, wire.V5, false)
		advance(20 * time.Second)
		rival := dial(t, b, wire.V5)
		rival.send(&wire.Connect{ClientID: "c", Username: new("u"), MaximumPacketSize: 8})
		require.Equal(t, wire.PacketTooLarge, receive[*wire.Connack](rival).ReasonCode)
		rival.closed()
		advance(9 * time.Second)
		wills.idle()
		advance(time.Second)
		wills.want(message0("will", "gone"))
		advance(28 * time.Second)
		require.Equal(t, 2, b.Stats().Sessions)
		advance(2 * time.Second)
		require.Equal(t, 1, b.Stats().Sessions)
	})
}

func TestTheLimitOfSessionsTakesNothingFromAnybody(t *testing.T) {
	for _, s := range []store.Store{nil, store.Memory()} {
		run(t, Config{Sessions: 1, Store: s}, func(t *testing.T, b *Broker) {
			owner(t, b, wire.V5, false)
			before := possessionOf(b, "c")
			for v, code := range map[wire.Version]wire.ReasonCode{wire.V5: wire.QuotaExceeded, wire.V311: wire.ServerUnavailable} {
				rival := dial(t, b, v)
				rival.send(durableConnect(v, "other"))
				require.Equal(t, code, receive[*wire.Connack](rival).ReasonCode)
				rival.closed()
			}
			require.Equal(t, before, possessionOf(b, "c"))
			p := durableConnect(wire.V5, "c")
			p.Username = new("u")
			_, ack := join(t, b, wire.V5, p)
			require.True(t, ack.SessionPresent)
		})
	}
}

// What does not fit is left out of CONNACK, if the client can do without.
func TestConnackIsCutToFit(t *testing.T) {
	run(t, Config{ResponseInformation: "responses/%c"}, func(t *testing.T, b *Broker) {
		p := &wire.Connect{ClientID: "c", CleanStart: true, RequestResponseInformation: true}
		_, ack := join(t, b, wire.V5, p)
		require.Equal(t, "responses/c", ack.ResponseInformation)
		whole, err := ack.Append(nil, wire.V5)
		require.NoError(t, err)
		for _, short := range []int{0, 1, len(whole) - 6} {
			p.MaximumPacketSize = uint32(len(whole) - short)
			s := dial(t, b, wire.V5)
			s.send(p)
			got := receive[*wire.Connack](s)
			switch short {
			case 0:
				require.Equal(t, ack, got)
			case 1:
				require.Equal(t, wire.Success, got.ReasonCode)
				require.Empty(t, got.ResponseInformation)
			default:
				require.Equal(t, &wire.Connack{ReasonCode: wire.PacketTooLarge}, got, "no reason string")
				s.closed()
			}
		}
		require.True(t, b.Clients()[0].Connected)
	})
}

// refusedBy is how a Store refuses a client: by an error, or by taking too long.
var refusedBy = map[string]func(s *moody) (heal func()){
	"error": func(s *moody) func() {
		s.set(errors.New("broken"), nil)
		return func() { s.set(nil, nil) }
	},
	"full": func(s *moody) func() {
		s.set(errFull, nil)
		return func() { s.set(nil, nil) }
	},
	"hanging": func(s *moody) func() {
		hang := make(chan struct{})
		s.set(nil, hang)
		return func() {
			s.set(nil, nil)
			close(hang)
		}
	},
}

func TestAStoreThatFailsTakesNoSession(t *testing.T) {
	for name, fail := range refusedBy {
		for _, v := range []wire.Version{wire.V311, wire.V5} {
			for _, stays := range []bool{false, true} {
				for _, clean := range []bool{false, true} {
					moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
						old := owner(t, b, v, stays)
						advance(time.Second)
						before := possessionOf(b, "c")
						records := recordsIn(t, s.Mem)
						heal := fail(s)
						p := durableConnect(v, "c")
						p.CleanStart, p.Username = clean, new("u")
						p.SessionExpiryInterval *= 9
						rival := dial(t, b, v)
						rival.send(p)
						advance(11 * time.Second)
						require.True(t, receive[*wire.Connack](rival).ReasonCode.Failed())
						rival.closed()
						require.Equal(t, before, possessionOf(b, "c"), "%s, %v, clean start: %v", name, v, clean)
						if stays {
							old.send(&wire.Pingreq{})
							old.want(&wire.Pingresp{})
						}
						heal()
						advance(2 * time.Second)
						require.Equal(t, records, recordsIn(t, s.Mem), "%s, %v, clean start: %v", name, v, clean)
						p.CleanStart = false
						next, ack := join(t, b, v, p)
						require.True(t, ack.SessionPresent)
						require.True(t, receive[*wire.Publish](next).Duplicate)
					})
				}
			}
		}
	}
}

// A session may change while its next client waits for the disk.
func TestASessionThatChangesWhileAClientEnters(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(t *testing.T, b *Broker, old *script)
		present bool
		will    bool // is published
	}{
		"nothing":    {func(*testing.T, *Broker, *script) {}, true, false},
		"cut":        {func(t *testing.T, b *Broker, old *script) { old.cut() }, true, false},
		"DISCONNECT": {func(t *testing.T, b *Broker, old *script) { old.send(&wire.Disconnect{}) }, true, false},
		"its end": {func(t *testing.T, b *Broker, old *script) {
			old.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0)), ReasonCode: wire.DisconnectWithWill})
		}, false, true},
		"its will": {func(t *testing.T, b *Broker, old *script) {
			old.cut()
			advance(35 * time.Second)
		}, true, true},
		"expiry": {func(t *testing.T, b *Broker, old *script) {
			old.cut()
			advance(61 * time.Second)
		}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &moody{Mem: store.Memory()}
			run(t, Config{Store: s, ConnectTimeout: time.Hour}, func(t *testing.T, b *Broker) {
				wills := clean(t, b, "wills")
				wills.subscribe(filter("will", 0))
				old := owner(t, b, wire.V5, true)
				hang := make(chan struct{})
				s.set(nil, hang)
				p := durableConnect(wire.V5, "c")
				p.Username = new("u")
				c := dial(t, b, wire.V5)
				c.send(p)
				c.idle()
				require.True(t, b.Clients()[0].Connected, "until the disk has it")
				test.change(t, b, old)
				synctest.Wait()
				s.set(nil, nil)
				close(hang)
				require.Equal(t, test.present, receive[*wire.Connack](c).SessionPresent)
				if test.present {
					require.Equal(t, "waits", string(receive[*wire.Publish](c).Payload))
				}
				if test.will {
					wills.want(message0("will", "gone"))
				}
				wills.idle()
				advance(time.Second)
				require.Len(t, recordsOf(t, s.Mem, records.SessionKind), 1)
				next, err := Open(Config{Store: copied(t, s.Mem)})
				require.NoError(t, err)
				require.Equal(t, "c", next.Clients()[0].Peer.ClientID)
				require.Nil(t, possessionOf(next, "c").will)
				require.NoError(t, next.Close())
			})
		})
	}
}

// Two new sessions at a time do not go beyond the limit, not even on the disk.
func TestTheLimitCountsSessionsThatAreToBegin(t *testing.T) {
	s := &moody{Mem: store.Memory()}
	run(t, Config{Store: s, Sessions: 1}, func(t *testing.T, b *Broker) {
		hang := make(chan struct{})
		s.set(errFull, hang)
		first, second := dial(t, b, wire.V5), dial(t, b, wire.V5)
		first.send(durableConnect(wire.V5, "first"))
		synctest.Wait()
		second.send(durableConnect(wire.V5, "second"))
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](second).ReasonCode)
		second.closed()
		close(hang)
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](first).ReasonCode)
		first.closed()
		s.set(nil, nil)
		mustJoin(t, b, wire.V5, durableConnect(wire.V5, "third"))
		require.Zero(t, int(b.sessionQuota.used.Load())-len(b.clients))
	})
}
