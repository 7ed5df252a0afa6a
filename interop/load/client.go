package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/wire"
)

const (
	version  = wire.V311
	patience = 60 * time.Second
	// perAddress is how many connections come from one loopback address. Linux gives
	// out half of its 28,000 ports at first; beyond, it searches long.
	perAddress = 5_000
)

// client is a client of no more than a socket: it costs this process little.
type client struct {
	net.Conn
	id string
}

// dialled counts connections, to take another source address in time.
var dialled atomic.Int64

// dial connects from one of the many loopback addresses of Linux, 127.1.0.1 and
// up.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	n := dialled.Add(1) / perAddress
	from := net.IPv4(127, 1, byte(n>>8), byte(n)+1)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return nc, nc.SetDeadline(time.Now().Add(patience))
}

// connect opens client number i. A filter is subscribed to unless it is empty.
func connect(ctx context.Context, addr string, i int, clean bool, filter string) (*client, error) {
	nc, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &client{nc, fmt.Sprintf("load-%07d", i)}
	if err := c.exchange(&wire.Connect{ClientID: c.id, CleanStart: clean}, wire.TypeConnack, 4); err != nil {
		return nil, err
	}
	if filter == "" {
		return c, nil
	}
	subscribe := &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: filter}}}
	return c, c.exchange(subscribe, wire.TypeSuback, 5)
}

// exchange sends a packet and reads the answer, which has so many bytes.
func (c *client) exchange(p wire.Packet, want wire.PacketType, size int) error {
	if err := c.send(p); err != nil {
		return err
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	// What both answers end with is zero if all is well.
	if wire.PacketType(answer[0]>>4) != want || answer[size-1] != 0 {
		return fmt.Errorf("answer % x to %v", answer, p.Type())
	}
	return nil
}

func (c *client) send(p wire.Packet) error {
	b, err := p.Append(nil, version)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

// leave says goodbye, and waits for the server to close.
func (c *client) leave() error {
	defer c.Close()
	if err := c.send(&wire.Disconnect{}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// all calls f for 0 to n-1, many at the same time.
func all(ctx context.Context, n, atOnce int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range atOnce {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f(ctx, i); err != nil {
					return fmt.Errorf("client %d: %w", i, err)
				}
			}
		})
	}
	return group.Wait()
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.Close()
		}
	}
}
