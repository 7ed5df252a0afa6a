package hostile

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// connectionCost is what a connection may cost that is not logged in, and what one that
// is.
const (
	silentCost    = 16 << 10
	connectedCost = 32 << 10
)

// doorScenarios are about who gets in.
func doorScenarios() []brokerScenario {
	return []brokerScenario{
		{
			name:   "nothing, to compare with",
			setup:  func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			attack: func(a *attack) { <-time.After(time.Duration(a.of(100, 5000)) * time.Millisecond) },
		},
		silent("silent connections from one address", func(int) string { return "127.0.0.9" }),
		silent("silent connections from the honest address", func(int) string { return "" }),
		silent("silent connections from many addresses", local),
		{
			name:  "CONNECT byte by byte",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				connect := encode(&wire.Connect{ClientID: strings.Repeat("x", 1000)})
				var conns []net.Conn
				for i := range a.times(500, 10_100) {
					if nc, err := a.dial("tcp", local(i%100)); err == nil {
						conns = append(conns, nc)
						a.landed.Add(1)
					}
				}
				for i := range min(len(connect)-1, 30) {
					for _, nc := range conns {
						_, _ = nc.Write(connect[i : i+1])
					}
				}
			},
			least: 100,
		},
		{
			name:  "refused CONNECT that stays for the answer",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(1500, 10_100), 50, func(i int) {
					if nc, err := a.dial("tcp", local(i%50)); err == nil {
						_, _ = nc.Write(encode(&wire.Connect{ClientID: "x", Username: new("attacker"), Password: []byte("wrong")}))
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "wrong passwords from many addresses",
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Cost: a.of(6, 10), Users: 1000, Config: small(a, nil)}
			},
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) { guess(a, local) },
			least:  20,
		},
		{
			name: "wrong passwords from the honest address",
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Cost: a.of(6, 10), Users: 1000, Config: small(a, nil)}
			},
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) { guess(a, func(int) string { return "" }) },
			least:  20,
		},
		{
			name: "wrong passwords for the honest user",
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Cost: a.of(6, 10), Users: 1000, Config: small(a, nil)}
			},
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(400, 600), 100, func(i int) {
					_, _, _ = a.join(wire.V5, &wire.Connect{ClientID: "x", Username: new("honest"), Password: []byte("guess")}, local(i%100))
					a.landed.Add(1)
				})
			},
			least: 20,
		},
		{
			name:  "reconnect storm",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(connectedCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(1500, 50_000), 50, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("storm-", i%100), SessionExpiryInterval: 1000}, "127.0.0.9")
					if err == nil {
						a.landed.Add(1)
						p.Close()
					}
				})
			},
			least: 100,
		},
		{
			name:  "take-over of one identifier by itself",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(connectedCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(1000, 20_000), 50, func(int) {
					if _, _, err := a.join(wire.V5, &wire.Connect{ClientID: "one", SessionExpiryInterval: 1000}, "127.0.0.9"); err == nil {
						a.landed.Add(1)
					}
				})
			},
			least: 50,
		},
		{
			name:  "take-over of the honest client's identifier",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(connectedCost), multiple: 1,
			attack: func(a *attack) {
				for i := range a.times(30, 300) {
					for _, v := range versions {
						_, _, _ = a.join(v, &wire.Connect{ClientID: "resident", CleanStart: true}, local(i))
						a.landed.Add(1)
					}
				}
			},
			least: 30,
		},
		{
			name:  "AUTH without end",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Enhanced: true, Config: small(a, nil)} },
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				auth := encode(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "endless", AuthenticationData: make([]byte, 1000)})
				a.each(50, 50, func(i int) {
					nc, err := a.dial("tcp", local(i))
					if err != nil {
						return
					}
					p := NewPeer(nc, wire.V5, wire.FromServer)
					_ = p.Send(&wire.Connect{ClientID: fmt.Sprint("auth-", i), AuthenticationMethod: "endless"})
					for range a.times(200, 20_000) {
						if _, err := Await[*wire.Auth](p); err != nil {
							return
						}
						a.landed.Add(1)
						if _, err := nc.Write(auth); err != nil {
							return
						}
					}
				})
			},
			least: 50,
		},
		{
			name:  "AUTH without end, answers unread",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Enhanced: true, Config: small(a, nil)} },
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				auth := encode(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "endless"})
				a.each(20, 20, func(i int) {
					nc, err := a.dial("tcp", local(i))
					if err != nil {
						return
					}
					p := NewPeer(nc, wire.V5, wire.FromServer)
					_ = p.Send(&wire.Connect{ClientID: fmt.Sprint("auth-", i), AuthenticationMethod: "endless"})
					a.landed.Add(int64(p.Flood(auth, a.times(50_000, 500_000), time.Second)))
				})
			},
			least: 1000,
		},
		{
			name:  "garbage",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				garbage := [][]byte{
					[]byte("GET / HTTP/1.1\r\n\r\n"), {0x10, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 100_000),
					{0x16, 3, 1, 2, 0, 1}, {0x30, 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Claim(0x10, 384<<10-10),
				}
				a.each(a.times(1000, 20_000), 50, func(i int) {
					if nc, err := a.dial("tcp", local(i%50)); err == nil {
						_, _ = nc.Write(garbage[i%len(garbage)])
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name:  "CONNECT of user properties, held open",
			setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
			// What a CONNECT says may be kept while it is judged, for a few at a time.
			limit: func(a *attack) int { return connectionLimit(connectedCost)(a) + 8*384<<10 }, multiple: 4,
			attack: func(a *attack) {
				connect := &wire.Connect{Username: new("attacker"), Password: []byte("attacker"), UserProperties: make([]wire.UserProperty, 70_000)}
				a.each(a.times(200, 5000), 10, func(i int) {
					c := *connect
					c.ClientID = fmt.Sprint("props-", i)
					_, _, _ = a.join(wire.V5, &c, local(i%20)) // it may be refused
					a.landed.Add(1)
				})
			},
			least: 1,
		},
		{
			name: "TLS handshakes left half done",
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Networks: []string{"tcp", "tls"}, Config: small(a, nil)}
			},
			limit: connectionLimit(2 * silentCost), multiple: 1,
			attack: func(a *attack) {
				hello := clientHello()
				a.each(a.times(600, 10_100), 50, func(i int) {
					nc, err := a.dial("tls", local(i%20))
					if err != nil {
						return
					}
					_, _ = nc.Write(hello[:len(hello)-i%2])
					a.landed.Add(1)
				})
			},
			least: 100,
		},
		{
			name: "TLS records of one byte",
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Networks: []string{"tcp", "tls"}, Config: small(a, nil)}
			},
			limit: connectionLimit(4 * silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := a.dial("tls", local(i))
					if err != nil {
						return
					}
					secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
					if secure.Handshake() != nil {
						return
					}
					p := NewPeer(secure, wire.V5, wire.FromServer)
					if _, err := p.Join(&wire.Connect{ClientID: fmt.Sprint("tls-", i), Username: new("attacker"), Password: []byte("attacker")}); err != nil {
						return
					}
					for _, b := range PublishOfPayload("x", 0, 0, a.of(2000, 50_000)) {
						if _, err := secure.Write([]byte{b}); err != nil {
							return
						}
						a.landed.Add(1)
					}
				})
			},
			least: 1000,
		},
	}
}

// silent opens connections and says nothing.
func silent(name string, from func(int) string) brokerScenario {
	return brokerScenario{
		name:  name,
		setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
		limit: connectionLimit(silentCost), multiple: 1,
		attack: func(a *attack) {
			a.each(a.times(600, 10_100), 20, func(i int) {
				if _, err := a.dial("tcp", from(i%100)); err == nil {
					a.landed.Add(1)
				}
			})
		},
		least: 100,
	}
}

// guess tries passwords from a hundred places at once.
func guess(a *attack, from func(int) string) {
	a.each(a.times(400, 600), 100, func(i int) {
		_, _, _ = a.join(wire.V5, &wire.Connect{ClientID: "x", Username: new(fmt.Sprint("user", i)), Password: []byte("guess")}, from(i%100))
		a.landed.Add(1)
	})
}

// connectionLimit is what as many connections may cost as there may be.
func connectionLimit(each int) func(a *attack) int {
	return func(a *attack) int { return a.of(400, 10_000) * each }
}

func encode(p wire.Packet) []byte {
	b, err := p.Append(nil, wire.V5)
	if err != nil {
		panic(err) // of the plan's own making
	}
	return b
}

// clientHello returns the first flight of a TLS client.
func clientHello() []byte {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_ = tls.Client(far, &tls.Config{ServerName: "victim"}).Handshake()
		far.Close()
	}()
	b := make([]byte, 4<<10)
	n, err := near.Read(b)
	if err != nil && err != io.EOF {
		panic(err)
	}
	return b[:n]
}

var versions = []wire.Version{wire.V31, wire.V311, wire.V5}
