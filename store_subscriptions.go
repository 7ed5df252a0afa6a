package mqtt

import (
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// keptFilter is a filter that an earlier process has subscribed to and that this one has
// not named yet. The server keeps it, or gets it again; its messages wait until they are
// claimed.
type keptFilter struct{ interest session.Interest }

// answered implements interestOwner. A filter that the server refuses is forgotten by the
// engine.
func (*keptFilter) answered(session.InterestAnswer) {}

// keptFilters are those of a client, by name. engine.mu guards them.
type keptFilters map[string]*keptFilter

// restoreFilters subscribes to what an earlier process wanted.
func (c *Client) restoreFilters() {
	filters := c.keeper.journal.KeepSubscriptions(c.cfg.StoreSubscriptions)
	for _, f := range filters {
		if c.kept == nil {
			c.kept = make(keptFilters)
		}
		f.RetainHandling = wire.DontSendRetained
		k := new(keptFilter)
		k.interest.Filters, k.interest.Owner = []Filter{f}, k
		c.kept[f.Filter] = k
		c.engine.Subscriptions.Add(&k.interest)
	}
}

// adoptLocked says that a Subscription is about to want these filters.
func (kept keptFilters) adoptLocked(engine *session.Client, filters []Filter) {
	for i := range filters {
		if k := kept[filters[i].Filter]; k != nil {
			delete(kept, filters[i].Filter)
			engine.Subscriptions.Remove(&k.interest, true)
		}
	}
}

// dropFilters unsubscribes from what nobody has named in time.
func (c *Client) dropFilters() {
	c.engine.do(func(engine *session.Client) {
		for name, k := range c.kept {
			delete(c.kept, name)
			engine.Subscriptions.Remove(&k.interest, false)
		}
	})
}
