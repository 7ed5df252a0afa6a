package hostile

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt"
)

// patience bounds every step of an honest client. It is generous, because the short form
// asks whether something works and not how fast.
const patience = 30 * time.Second

// honest works beside an attack: a client that was there before, and one that logs in
// anew each time. Both publish at QoS 1 and receive what they publish.
type honest struct {
	server   string
	user     string
	patience time.Duration // for each step
	most     int           // failures after which there is no point in going on
	users    int           // of whom each newcomer is the next; zero means one for all
	resident *member
	rounds   int

	logins, trips []time.Duration // of those that succeeded
	failures      []error
}

// member is a client that is logged in and receives what it publishes on its topic.
type member struct {
	*mqtt.Client
	messages *mqtt.Subscription
	topic    string
}

var honestCount atomic.Int64

// enter brings the resident in.
func (h *honest) enter(ctx context.Context) (err error) {
	h.resident, err = h.join(ctx, "resident", h.user)
	return err
}

func (h *honest) join(ctx context.Context, id, user string) (*member, error) {
	ctx, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	client, err := mqtt.Connect(ctx, h.server, mqtt.Config{
		ClientID: id, Username: user, Password: mqtt.Secret(h.user), ConnectTimeout: h.patience,
		Version: mqtt.V5,
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	topic := "honest/" + id
	sub, err := client.Subscribe(ctx, topic, mqtt.AtLeastOnce)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return &member{client, sub, topic}, nil
}

// round lets both do once what they do.
func (h *honest) round(ctx context.Context) {
	h.rounds++
	h.note(h.trip(ctx, h.resident))

	begin := time.Now()
	id, user := fmt.Sprint("newcomer-", honestCount.Add(1)), h.user
	if h.users > 0 {
		user = fmt.Sprint(user, h.rounds%h.users)
	}
	client, err := h.join(ctx, id, user)
	if err != nil {
		h.note(err)
		return
	}
	defer client.Close()
	h.logins = append(h.logins, time.Since(begin))
	h.note(h.trip(ctx, client))
}

func (h *honest) note(err error) {
	if err != nil {
		h.failures = append(h.failures, err)
	}
}

// trip publishes and waits for the message.
func (h *honest) trip(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, h.patience)
	defer cancel()
	begin := time.Now()
	if err := m.Publish(ctx, m.topic, []byte("x"), mqtt.AtLeastOnce); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if _, err := m.messages.Next(ctx); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	h.trips = append(h.trips, time.Since(begin))
	return nil
}

// work goes on until the attack is over, at least for rounds rounds. It gives up after a
// few failures, each of which may have taken all of the patience.
func (h *honest) work(ctx context.Context, over <-chan struct{}, rounds int) {
	for i := 0; len(h.failures) < h.most; i++ {
		select {
		case <-over:
			if i >= rounds {
				return
			}
		case <-time.After(pause):
		}
		h.round(ctx)
	}
}

const pause = 20 * time.Millisecond

// prompt counts the logins that took at most a second.
func (h *honest) prompt() (n int) {
	for _, d := range h.logins {
		if d <= time.Second {
			n++
		}
	}
	return n
}

// leave ends the resident, if there is one, and returns how often it lost its connection.
func (h *honest) leave() uint64 {
	if h.resident == nil {
		return 0
	}
	lost := h.resident.Stats().Lost
	h.resident.Close()
	return lost
}
