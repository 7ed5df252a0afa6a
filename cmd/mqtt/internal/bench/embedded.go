package bench

import (
	"context"

	"github.com/seed65a45251/mqtt/broker"
)

// startEmbedded runs a broker of this process on a free port of loopback, with room for
// the clients of a run.
func startEmbedded(s *Settings) (url string, stop func() error, err error) {
	b := broker.New(broker.Config{Connections: max(10_000, s.Publishers+s.Subscribers)})
	addr, err := b.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return "mqtt://" + addr.String(), b.Close, nil
}
