package broker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// refusedAs connects with p and takes the refusal that the version has for reason.
func refusedAs(t *testing.T, b *Broker, v wire.Version, p *wire.Connect, reason wire.ReasonCode) {
	t.Helper()
	s := dial(t, b, v)
	s.send(p)
	ack := receive[*wire.Connack](s)
	require.Equal(t, reason, ack.ReasonCode) // the decoder knows which code of 3.1.1 that is
	require.False(t, ack.SessionPresent)
	s.closed()
}

// as sets the user name.
func as(user string, p *wire.Connect) *wire.Connect {
	if user != "" {
		p.Username, p.Password = &user, []byte("p")
	}
	return p
}

// subjects is an authenticator of tokens: "alice.1", "alice.2" ... are all Alice's.
var subjects = AuthenticatorFunc(func(_ context.Context, l *Login) Decision {
	subject, _, ok := strings.Cut(l.Username, ".")
	if !ok {
		return Allow()
	}
	return Allow().As(subject)
})

func TestAnIdentifierBelongsToItsPrincipal(t *testing.T) {
	for _, v := range versions {
		for _, clean := range []bool{false, true} {
			for _, stays := range []bool{false, true} {
				for _, durable := range []bool{false, true} {
					cfg := Config{Authenticators: []Authenticator{subjects}}
					if durable {
						cfg.Store = store.Memory()
					}
					run(t, cfg, func(t *testing.T, b *Broker) {
						watcher, _ := join(t, b, wire.V5, as("w", durableConnect(wire.V5, "w")))
						watcher.subscribe(filter("will", 0))
						first := as("alice.1", durableConnect(v, "c"))
						first.Will = &wire.Will{Topic: "will", Payload: []byte("gone")}
						if v == wire.V5 {
							first.Will.DelayInterval = 30
						}
						alice, _ := join(t, b, v, first)
						alice.subscribe(filter("jobs", 1))
						if !stays {
							alice.send(&wire.Disconnect{})
							alice.closed()
							require.NoError(t, b.Publish(&wire.Publish{Topic: "jobs", Payload: []byte("waits"), QoS: 1}))
						}
						synctest.Wait()
						for _, other := range []string{"mallory", "mallory.1", "alicex", "alice.1x.2", ""} {
							rival := as(other, durableConnect(v, "c"))
							rival.CleanStart = clean
							if other == "alice.1x.2" {
								continue // a token of Alice
							}
							refusedAs(t, b, v, rival, wire.NotAuthorized)
						}
						advance(time.Second)
						watcher.idle()
						if stays {
							require.NoError(t, b.Publish(&wire.Publish{Topic: "jobs", Payload: []byte("waits"), QoS: 1}))
							require.Equal(t, "waits", string(receiveAs(alice).Payload))
						}
						// The next token takes over as always.
						next, ack := join(t, b, v, as("alice.2", durableConnect(v, "c")))
						require.True(t, v < wire.V311 || ack.SessionPresent)
						if stays {
							alice.ended(wire.SessionTakenOver)
						} else {
							require.Equal(t, "waits", string(receiveAs(next).Payload))
						}
					})
				}
			}
		}
	}
}

func TestAnIdentifierIsFreeWhenItsSessionIsOver(t *testing.T) {
	for name, end := range map[string]func(b *Broker, s *script){
		"expired": func(_ *Broker, s *script) { s.cut(); advance(61 * time.Second) },
		"with a word": func(_ *Broker, s *script) {
			s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
			s.closed()
		},
		"released":      func(b *Broker, s *script) { require.True(s.t, b.Release("c")); s.ended(wire.AdministrativeAction) },
		"released away": func(b *Broker, s *script) { s.cut(); require.True(s.t, b.Release("c")) },
	} {
		for _, durable := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				cfg := Config{Authenticators: []Authenticator{AllowAll{}}}
				if durable {
					cfg.Store = store.Memory()
				}
				run(t, cfg, func(t *testing.T, b *Broker) {
					watcher, _ := join(t, b, wire.V5, as("w", durableConnect(wire.V5, "w")))
					watcher.subscribe(filter("will", 0))
					first := as("alice", durableConnect(wire.V5, "c"))
					first.Will = &wire.Will{Topic: "will", Payload: []byte("gone"), DelayInterval: 600}
					alice, _ := join(t, b, wire.V5, first)
					alice.subscribe(filter("jobs", 1))
					end(b, alice)
					require.NoError(t, b.Publish(&wire.Publish{Topic: "jobs", QoS: 1}))
					if name == "with a word" {
						watcher.idle()
					} else {
						require.Equal(t, "gone", string(receive[*wire.Publish](watcher).Payload))
					}
					bob, ack := join(t, b, wire.V5, as("bob", durableConnect(wire.V5, "c")))
					require.False(t, ack.SessionPresent)
					bob.idle()
					refusedAs(t, b, wire.V5, as("alice", durableConnect(wire.V5, "c")), wire.NotAuthorized)
				})
			})
		}
	}
}

func TestReleaseOfNobody(t *testing.T) {
	b := New(Config{})
	require.False(t, b.Release("c"))
	require.NoError(t, b.Close())
	require.False(t, b.Release("c"))
}

func TestASessionWithoutExpiryIsProtectedWhileItIsConnected(t *testing.T) {
	for _, v := range versions {
		run(t, Config{Authenticators: []Authenticator{AllowAll{}}}, func(t *testing.T, b *Broker) {
			alice, _ := join(t, b, v, as("alice", &wire.Connect{ClientID: "c", CleanStart: true}))
			refusedAs(t, b, v, as("bob", &wire.Connect{ClientID: "c", CleanStart: true}), wire.NotAuthorized)
			alice.send(&wire.Pingreq{})
			alice.want(&wire.Pingresp{})
			alice.cut()
			join(t, b, v, as("bob", &wire.Connect{ClientID: "c", CleanStart: true}))
		})
	}
}

func TestWithoutAuthenticationAllAreOne(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			alice, _ := join(t, b, v, as("alice", durableConnect(v, "c")))
			alice.subscribe(filter("a", 1))
			_, ack := join(t, b, v, as("bob", durableConnect(v, "c")))
			require.True(t, v < wire.V311 || ack.SessionPresent)
			alice.ended(wire.SessionTakenOver)
			require.Equal(t, 1, b.Stats().Subscriptions)
		})
	}
}

func TestPrincipalsSurviveARestart(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		old, _ := join(t, w.broker, wire.V5, as("early", durableConnect(wire.V5, "unasked")))
		old.cut()
		w.cfg.Authenticators = []Authenticator{subjects}
		b := w.kill()
		for id, user := range map[string]string{"token": "alice.1", "name": "alice", "nobody": ""} {
			s, _ := join(t, b, wire.V5, as(user, durableConnect(wire.V5, id)))
			s.cut()
		}
		b = w.kill()
		for id, user := range map[string]string{"token": "mallory.1", "name": "mallory", "nobody": "mallory"} {
			refusedAs(t, b, wire.V5, as(user, durableConnect(wire.V5, id)), wire.NotAuthorized)
		}
		for id, user := range map[string]string{"token": "alice.2", "name": "alice.3", "nobody": "", "unasked": "first"} {
			_, ack := join(t, b, wire.V5, as(user, durableConnect(wire.V5, id)))
			require.True(t, ack.SessionPresent, id)
		}
		b = w.kill()
		refusedAs(t, b, wire.V5, as("second", durableConnect(wire.V5, "unasked")), wire.NotAuthorized)
		require.True(t, b.Release("unasked"))
		join(t, b, wire.V5, as("second", durableConnect(wire.V5, "unasked")))
	})
}

// names is a method whose data is the token of whom the client wants to be.
type names struct{}

func (names) AuthenticationMethod() string { return "NAME" }
func (names) Begin(l *Login) Exchange      { return &nameExchange{l} }

type nameExchange struct{ login *Login }

func (x *nameExchange) Next(ctx context.Context, data []byte) ([]byte, Decision) {
	x.login.Username = string(data)
	return nil, subjects(ctx, x.login)
}

func TestAuthenticatingAgain(t *testing.T) {
	for token, want := range map[string]wire.ReasonCode{
		"alice.1": wire.Success, "alice.2": wire.Success, "alice": wire.Success,
		"bob.1": wire.NotAuthorized, "bob": wire.NotAuthorized, "": wire.NotAuthorized,
	} {
		seen := ""
		cfg := Config{
			EnhancedAuthenticators: []EnhancedAuthenticator{names{}},
			Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision {
				seen = a.Peer.Username
				return Allow()
			})},
			Store: store.Memory(),
		}
		run(t, cfg, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, &wire.Connect{
				ClientID: "c", SessionExpiryInterval: 60, AuthenticationMethod: "NAME", AuthenticationData: []byte("alice.1"),
				Will: &wire.Will{Topic: "will"},
			})
			s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "NAME", AuthenticationData: []byte(token)})
			if want == wire.Success {
				require.Equal(t, want, receive[*wire.Auth](s).ReasonCode)
				s.send(&wire.Publish{Topic: "t", QoS: 1, PacketID: 1})
				receive[*wire.Puback](s)
				require.Equal(t, token, seen, "the name of the last token")
				s.cut()
				require.Equal(t, token, seen, "the will, too")
				require.Equal(t, token, b.Clients()[0].Peer.Username)
				return
			}
			s.ended(want)
			synctest.Wait()
			require.Equal(t, "alice.1", seen, "the will")
		})
	}
}
