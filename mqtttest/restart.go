package mqtttest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Stop ends the broker like one that is shut down. 5.0 clients are told, all
// connections end, and no other is accepted until [Broker.Start]. (A loopback port
// stays open, but its connections are reset.) Sessions and retained messages stay,
// and [Broker.Publish] still works. For a crash call [Broker.Drop] first.
func (b *Broker) Stop() {
	b.setStopped(true)
	b.recorder.add(&Event{Note: "broker stopped"})
	b.service.halt()
}

// Start makes a stopped broker continue with its state.
func (b *Broker) Start() {
	b.service.start(b.cfg.Buffer)
	b.setStopped(false)
	b.recorder.add(&Event{Note: "broker started"})
}

// Restart stops the broker and starts it again with its state.
func (b *Broker) Restart() {
	b.Stop()
	b.Start()
}

// RestartEmpty stops the broker and starts one with the same configuration. The new
// broker has no sessions and retained messages, except those in its
// [broker.Config.Store], if there is one.
func (b *Broker) RestartEmpty() {
	b.Stop()
	b.service.replace(b.cfg.Broker)
	b.recorder.add(&Event{Note: "sessions and retained messages lost"})
	b.Start()
}

func (b *Broker) setStopped(stopped bool) {
	b.mu.Lock()
	b.faults.stopped = stopped
	b.mu.Unlock()
}

// amnesia says which sessions are to be lost.
type amnesia struct {
	of    map[string]bool
	count int            // how often all were lost
	known map[string]int // the value of count at the client's last connection
}

// LoseSession ends the connections of these clients, or all, and makes the broker
// forget their sessions: the next connection of each finds none. Retained messages
// stay. The broker's Authenticate is called once more for each client.
func (b *Broker) LoseSession(clientIDs ...string) {
	b.mu.Lock()
	f := &b.faults.amnesia
	if len(clientIDs) == 0 {
		f.count++
	}
	for _, id := range clientIDs {
		if f.of == nil {
			f.of = make(map[string]bool)
		}
		f.of[id] = true
	}
	b.mu.Unlock()
	for _, l := range b.matching(clientIDs) {
		l.end("by LoseSession", true)
	}
}

// due reports once whether the session of a client is to be lost.
func (f *amnesia) due(clientID string) bool {
	due := f.of[clientID] || f.known[clientID] < f.count
	delete(f.of, clientID)
	if f.known == nil {
		f.known = make(map[string]int)
	}
	f.known[clientID] = f.count
	return due
}

// forgetFor makes the broker forget the session that a CONNECT asks for, if it is to
// be lost.
func (b *Broker) forgetFor(l *link, p *wire.Connect) {
	b.mu.Lock()
	due := b.faults.amnesia.due(p.ClientID)
	b.mu.Unlock()
	if !due || p.ClientID == "" {
		return
	}
	if err := b.forget(l.ctx, p); err != nil && l.ctx.Err() == nil {
		b.t.Errorf("mqtttest: the session of %q was not lost: %v", p.ClientID, err)
	}
}

// forget connects as the client would, with a clean start, and disconnects at once.
// Every version supports this way to end a session.
func (b *Broker) forget(ctx context.Context, p *wire.Connect) error {
	side, err := b.service.dial(ctx)
	if err != nil {
		return err
	}
	defer side.Close()
	if err := side.SetDeadline(time.Now().Add(b.cfg.Patience)); err != nil {
		return err
	}
	hello := &wire.Connect{ClientID: p.ClientID, CleanStart: true, Username: p.Username, Password: p.Password}
	raw, err := hello.Append(nil, p.Version)
	if err != nil {
		return err
	}
	if _, err := side.Write(raw); err != nil {
		return err
	}
	h, body, err := wire.NewReader(side, p.Version, 0).ReadPacket()
	if err != nil {
		return err
	}
	answer, err := (&wire.Decoder{Version: p.Version}).Decode(h, slices.Clone(body))
	if err != nil {
		return err
	}
	if ack, ok := answer.(*wire.Connack); !ok || ack.ReasonCode.Failed() {
		return fmt.Errorf("answer %s", show(answer))
	}
	raw, err = (&wire.Disconnect{}).Append(nil, p.Version)
	if err != nil {
		return err
	}
	if _, err := side.Write(raw); err != nil {
		return err
	}
	// The broker closes when the session is gone.
	_, err = io.Copy(io.Discard, side)
	return err
}
