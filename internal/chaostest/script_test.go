package chaostest

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt"
)

// playScript has one client do a little of everything over its line: connect, subscribe,
// publish to itself at each QoS, unsubscribe, disconnect. It requires that everything
// succeeds and comes once, whatever happens to the first connection; QoS 0 may be lost,
// and QoS 1 may come twice.
func playScript(ctx context.Context, url string, cfg mqtt.Config) (err error) {
	client, err := mqtt.Connect(ctx, url, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sub, err := client.Subscribe(ctx, "s/+", mqtt.ExactlyOnce)
	if err != nil {
		return err
	}
	for qos, n := range []int{0: 1, 1: 2, 2: 2} {
		for i := range n {
			err := client.Publish(ctx, fmt.Sprint("s/", qos), []byte{'a' + byte(i)}, mqtt.QoS(qos))
			if err != nil && !(qos == 0 && errors.Is(err, mqtt.ErrConnectionLost)) {
				return err
			}
		}
	}
	if err := client.Publish(ctx, "s/end", nil, mqtt.ExactlyOnce); err != nil {
		return err
	}
	if err := wantScript(ctx, sub); err != nil {
		return err
	}
	if err := sub.Unsubscribe(ctx); err != nil {
		return err
	}
	// Disconnect tells again of a message at QoS 0 that got lost.
	if err := client.Disconnect(ctx); err != nil && !errors.Is(err, mqtt.ErrConnectionLost) {
		return err
	}
	return nil
}

// wantScript receives what playScript has published.
func wantScript(ctx context.Context, sub *mqtt.Subscription) error {
	var got [3]string
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if m.Topic == "s/end" {
			break
		}
		got[m.QoS] += string(m.Payload)
	}
	switch {
	case got[0] != "" && got[0] != "a":
		return fmt.Errorf("QoS 0 has come as %q", got[0])
	case got[1] != "ab" && got[1] != "aab" && got[1] != "abb" && got[1] != "abab":
		return fmt.Errorf("QoS 1 has come as %q", got[1])
	case got[2] != "ab":
		return fmt.Errorf("QoS 2 has come as %q", got[2])
	}
	return nil
}
