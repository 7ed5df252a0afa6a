package transport

import (
	"context"
	"time"
)

// headStart is how long an address has to itself before the next is dialled as
// well (RFC 8305 recommends it).
const headStart = 250 * time.Millisecond

// Race dials addrs of e, one a little after the other, or at once when one has failed,
// and returns the first connection and the addresses that are left to try. It
// returns when no dial is under way.
func (d *Dialer) Race(ctx context.Context, e Endpoint, addrs []string) (nc *Conn, addr string, rest []string, err error) {
	if len(addrs) == 1 {
		nc, err = d.Dial(ctx, e, addrs[0])
		return nc, addrs[0], nil, err
	}
	type finish struct {
		addr string
		nc   *Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan finish)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed []error
	for running := 0; running > 0 || nc == nil && len(addrs) > 0 && ctx.Err() == nil; {
		next := timer.C
		if nc != nil || len(addrs) == 0 {
			next = nil
		}
		select {
		case <-next:
			a := addrs[0]
			addrs = addrs[1:]
			running++
			go func() {
				nc, err := d.Dial(ctx, e, a)
				results <- finish{a, nc, err}
			}()
			timer.Reset(headStart)
		case r := <-results:
			running--
			switch {
			case r.err == nil && nc == nil:
				nc, addr = r.nc, r.addr
				cancel()
			case r.err == nil: // it lost, but it can be reached
				r.nc.Close()
				rest = append(rest, r.addr)
			case nc != nil: // cancelled
				rest = append(rest, r.addr)
			default:
				failed = append(failed, r.err)
				timer.Reset(0)
			}
		}
	}
	if nc == nil && len(failed) == 0 {
		failed = []error{context.Cause(ctx)}
	}
	if nc == nil {
		return nil, "", nil, Join(failed...)
	}
	return nc, addr, append(rest, addrs...), nil
}
