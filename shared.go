package mqtt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// depart ends the shared filters that the session is not to keep. The result is nil
// if there is nothing to wait for. Called with engine.mu held.
func (c *Client) depart() *session.Leave {
	return c.engine.Subscriptions.Withdraw(c.router.departing())
}

// leaveShared is depart for Disconnect: consumers can still take what the server
// sends before its answer. Without a connection, and when it is lost, there is
// nothing to wait for.
func (c *Client) leaveShared(ctx context.Context, p *wire.Disconnect) error {
	var k *conn
	u := &leaving{done: make(chan struct{})}
	c.engine.do(func(*session.Client) {
		if c.engine.ending != nil || c.engine.conn == nil || !c.keepsSession(p) {
			return
		}
		if leave := c.depart(); leave != nil {
			leave.Owner, k = u, c.engine.conn
		}
	})
	for k != nil {
		c.engine.mu.Lock()
		if c.engine.conn != k {
			c.engine.mu.Unlock()
			return nil
		}
		progress := k.progress()
		c.engine.mu.Unlock()
		select {
		case <-u.done: // whatever the server says
			return nil
		case <-progress:
		case <-ctx.Done():
			return &requestError{"disconnect", "", true, fmt.Errorf("shared filters not unsubscribed: %w", context.Cause(ctx))}
		}
	}
	return nil
}

// keepsSession says whether the session outlives the DISCONNECT p. Called with engine.mu
// held.
func (c *Client) keepsSession(p *wire.Disconnect) bool {
	if c.engine.Version() < V5 || p.SessionExpiryInterval == nil {
		return c.cfg.Resume
	}
	return *p.SessionExpiryInterval > 0
}

// departing returns the shared filters that no Subscription keeps in the session.
func (r *router) departing() (filters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours := func(s *Subscription) bool { return !s.local && !s.draining }
	keep := func(s *Subscription) bool { return s.options.KeepShared }
	for _, t := range r.routes {
		if t.shared() && slices.ContainsFunc(t.subs, ours) && !slices.ContainsFunc(t.subs, keep) {
			filters = append(filters, t.filter)
		}
	}
	slices.Sort(filters)
	return filters
}

// shared says that the server gives each message on the filter to one of several
// clients. $queue is EMQX's, $oshare BifroMQ's.
func (t *route) shared() bool {
	_, _, shared := match.SplitShared(t.filter)
	return shared || strings.HasPrefix(t.filter, "$queue/") || strings.HasPrefix(t.filter, "$oshare/")
}

// outlived says that messages for s which come when it has ended belong to the
// next who wants them: nobody else gets them.
func (r *router) outlived(s *Subscription) bool {
	if s.handled {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.draining && slices.ContainsFunc(s.routes, (*route).shared)
}
