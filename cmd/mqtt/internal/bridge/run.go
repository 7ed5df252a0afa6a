package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/store/bolt"
)

const (
	// drain bounds how long the bridge waits for what is under way at its end, and then for
	// the servers.
	drain = 5 * time.Second
	// What waits in a store for a server that is away. Beyond that, messages stay with the
	// server that they are from.
	storedMessages = 1_000_000
	storedBytes    = 1 << 30
)

// bridge is two servers and what goes between them.
type bridge struct {
	settings
	local, remote *target.Target
	note          func(format string, args ...any)
	debug         func(format string, args ...any)
}

// side is a client of the bridge.
type side struct {
	client *mqtt.Client
	marked bool         // as a bridge, before 5.0
	close  func() error // the store
}

// open starts the client of one side. It connects in the background: a server that is away
// keeps nobody from the other.
func (b *bridge) open(name string, t *target.Target) (s side, err error) {
	cfg := t.Config
	cfg.ClientID = cmp.Or(cfg.ClientID, b.ID+"-"+name)
	cfg.Resume = true
	cfg.Bridge = cfg.Version == mqtt.V311 || cfg.Version == mqtt.V31
	cfg.SessionExpiry = cmp.Or(cfg.SessionExpiry, 24*time.Hour)
	cfg.AlwaysSubscribe = true // a server that forgets without saying so
	s.marked, s.close = cfg.Bridge, func() error { return nil }
	if b.Store != "" {
		if err := os.MkdirAll(b.Store, 0o700); err != nil {
			return s, err
		}
		file, err := bolt.Open(filepath.Join(b.Store, name+".db"), bolt.Config{})
		if err != nil {
			return s, err
		}
		cfg.Store, s.close = file, file.Close
		cfg.QueueMessages, cfg.QueueBytes = storedMessages, storedBytes
	}
	s.client, err = mqtt.Start(t.Server, cfg)
	if err != nil {
		return s, errors.Join(exit.With(exit.Usage, fmt.Errorf("%s: %w", name, err)), s.close())
	}
	return s, nil
}

// run forwards until ctx ends or a client does.
func (b *bridge) run(ctx context.Context) (err error) {
	local, err := b.open("local", b.local)
	if err != nil {
		return err
	}
	remote, err := b.open("remote", b.remote)
	if err != nil {
		local.client.Close()
		return errors.Join(err, local.close())
	}
	g, forwarding := errgroup.WithContext(ctx)
	for name, s := range map[string]side{"local": local, "remote": remote} {
		go b.watch(name, s) // ends with the client
		g.Go(func() error {
			select {
			case <-forwarding.Done():
				return nil
			case <-s.client.Done():
				return exit.With(exit.Connection, fmt.Errorf("%s: %w", name, s.client.Err()))
			}
		})
	}
	for _, way := range []struct {
		from, to *mqtt.Client
		Direction
	}{{local.client, remote.client, Out}, {remote.client, local.client, In}} {
		f := &forwarder{
			id: b.ID, from: way.from, to: way.to, lanes: lanes(b.Routes, way.Direction), stored: b.Store != "", note: b.debug,
		}
		g.Go(func() error { return f.start(forwarding) })
	}
	err = g.Wait()
	if ctx.Err() != nil {
		err = nil // it was told to end
	}
	return errors.Join(err, b.end(ctx, local, remote))
}

// start waits for both servers and then forwards. Before that it is unknown which
// properties a message may have.
func (f *forwarder) start(ctx context.Context) error {
	for _, c := range []*mqtt.Client{f.from, f.to} {
		if err := c.WaitConnected(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return exit.With(exit.Connection, err)
		}
	}
	return f.run(ctx)
}

// end disconnects in order: what is under way arrives, or stays with the server that it is
// from, or in the store.
func (b *bridge) end(ctx context.Context, sides ...side) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	var g errgroup.Group
	for _, s := range sides {
		g.Go(func() error {
			if b.Store != "" && s.client.State() != mqtt.Connected {
				s.client.Close() // what waits for this server is in the store
			} else if err := s.client.Disconnect(limited); err != nil && b.Store == "" {
				b.note("%v", err)
			}
			return s.close()
		})
	}
	return g.Wait()
}

// warn says what an old server may do that was not known to be one: the mark of bridges
// is for a version that was chosen.
func (b *bridge) warn(name string, c *mqtt.Client, marked bool) {
	if !marked && c.ServerInfo().Version < mqtt.V5 && slices.ContainsFunc(b.Routes, func(r Route) bool { return r.Direction == Both }) {
		b.note("%s has no MQTT 5.0: messages may come back; give it a profile with the version 3.1.1", name)
	}
}

// watch tells what happens to a connection.
func (b *bridge) watch(name string, s side) {
	events := s.client.Watch(context.Background())
	connected, away := false, false
	tell := func() {
		if !connected {
			connected, away = true, false
			b.note("%s: connected", name)
			b.warn(name, s.client, s.marked)
		}
	}
	if s.client.State() == mqtt.Connected {
		tell() // the connection may be older than the channel
	}
	for e := range events {
		switch e.State {
		case mqtt.Connected:
			tell()
		case mqtt.Reconnecting:
			connected = false
			if !away {
				away = true
				b.note("%s: %s; trying again", name, oneLine(e.Err.Error()))
			}
		}
	}
}
