package conformancetest

import (
	"cmp"
	"context"
	"net"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

// setting is a broker that some statements need.
type setting struct {
	broker.Config
	run conformance.ServerRun
}

// settings returns brokers that together show every statement: one with all defaults, one that offers
// little, one with low limits, and one that knows its clients.
func settings() []setting {
	rules, err := broker.ParseACL(strings.NewReader("topic readwrite #\ntopic deny forbidden\nuser suite\ntopic readwrite #\ntopic deny forbidden\n"))
	if err != nil {
		panic(err)
	}
	return []setting{
		{},
		{Config: broker.Config{
			MaximumQoS: new(wire.AtLeastOnce), NoRetained: true, NoWildcards: true, NoShared: true, NoSubscriptionIDs: true,
			TopicAliasMaximum: -1, TopicAliasesSent: -1,
		}},
		{Config: broker.Config{ReceiveMaximum: 5, MaximumPacketSize: 100_000, ResponseInformation: "answers/%c"}},
		{
			Config: broker.Config{
				Authenticators:         []broker.Authenticator{broker.AuthenticatorFunc(onlySuite)},
				EnhancedAuthenticators: []broker.EnhancedAuthenticator{repeats{}},
				Authorizers:            []broker.Authorizer{rules},
			},
			run: conformance.ServerRun{
				Username: "suite", Password: "secret", Refused: "suite", Forbidden: "forbidden",
				Method: repeats{}.AuthenticationMethod(), Prove: prove,
			},
		},
	}
}

func onlySuite(_ context.Context, l *broker.Login) broker.Decision {
	if l.Username == "suite" && string(l.Password) == "secret" {
		return broker.Allow()
	}
	return broker.Deny(wire.BadUserNameOrPassword, "")
}

// repeats is an authentication method: the client says what the server has said, after "re:".
type repeats struct{}

func (repeats) AuthenticationMethod() string { return "REPEATS" }

func (repeats) Begin(l *broker.Login) broker.Exchange {
	l.Username = "suite"
	return &repetition{}
}

type repetition struct{ asked bool }

func (r *repetition) Next(_ context.Context, data []byte) ([]byte, broker.Decision) {
	switch {
	case !r.asked:
		r.asked = true
		return []byte("say"), broker.Pass()
	case string(data) == "re:say":
		return nil, broker.Allow()
	}
	return nil, broker.Deny(wire.NotAuthorized, "")
}

func prove(challenge []byte) []byte {
	if challenge == nil {
		return []byte("begin")
	}
	return append([]byte("re:"), challenge...)
}

// CheckBroker checks this project's broker in all settings, and returns for each statement and version
// the result that says most.
func CheckBroker(ctx context.Context) ([]conformance.Result, error) {
	list := settings()
	all := make([][]conformance.Result, len(list))
	running, ctx := errgroup.WithContext(ctx)
	for i, s := range list {
		running.Go(func() (err error) {
			all[i], err = s.check(ctx)
			return err
		})
	}
	if err := running.Wait(); err != nil {
		return nil, err
	}
	return Merge(all), nil
}

func (s setting) check(ctx context.Context) ([]conformance.Result, error) {
	b := broker.New(s.Config)
	defer b.Close()
	addr, err := b.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web, err := b.Listen(ctx, "ws", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.run.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	}
	s.run.WebSocket = "ws://" + web.String()
	return s.run.Run(ctx)
}

// Merge takes results of the same statements and versions. A failure says more than anything else, and
// a check that was carried out more than one that was not.
func Merge(all [][]conformance.Result) []conformance.Result {
	weight := map[conformance.Outcome]int{
		conformance.NotObserved: 0, conformance.Cannot: 1, conformance.Passes: 2, conformance.Departs: 3, conformance.Fails: 4,
	}
	merged := all[0]
	for _, results := range all[1:] {
		for i, r := range results {
			if cmp.Compare(weight[r.Outcome], weight[merged[i].Outcome]) > 0 {
				merged[i] = r
			}
		}
	}
	return merged
}
