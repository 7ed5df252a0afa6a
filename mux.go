package mqtt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
)

// MuxHandler is a function for the messages whose topics match a pattern, and how to
// subscribe to them.
type MuxHandler struct {
	// Pattern is that of the topics, for example devices/{id}/up; see [match.Pattern].
	Pattern string
	// Prefix stands before the pattern's filter in SUBSCRIBE: $share/name/ for a shared
	// subscription, or one of Config.FilterPrefixes. Zero means none.
	Prefix string
	// QoS is the highest QoS that messages are sent with. The other options are those of
	// Filter.
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    RetainHandling
	// Handle is called like the function of Client.Handle. [MuxValues] returns the values
	// of the pattern's parameters.
	Handle func(context.Context, *Message) error
}

// Mux calls, for each message of one Subscription, the function whose pattern describes
// the topic best.
//
//	mux, err := mqtt.NewMux(
//		mqtt.MuxHandler{Pattern: "devices/{id}/up", QoS: mqtt.AtLeastOnce, Handle: up},
//		mqtt.MuxHandler{Pattern: "devices/{path...}", Handle: others},
//	)
//	err = client.Handle(ctx, mqtt.SubscribeOptions{Filters: mux.Filters()}, mux.Handle)
//
// Where several patterns match a topic, each matches everything that the next does
// and more, and the function of the narrowest is called. Nothing else is possible,
// because NewMux refuses other pairs. So each message has one function, and the filters
// of a Mux do not overlap: no server has a reason to send a message twice.
//
// A Mux does not change. Its methods are safe for concurrent use, also with
// SubscribeOptions.Concurrency, Lend and OrderBy, which work as with any function.
type Mux struct {
	// Unmatched is called for messages that match no pattern. They come only if a
	// Subscription has other filters than those of the Mux, or if a server changes topics.
	// If nil, Handle returns TopicNameInvalid for them, so that they are refused. Set it
	// before Handle is called.
	Unmatched func(context.Context, *Message) error

	filters  []Filter
	handlers match.Tree[*muxed]
}

// muxed is a MuxHandler of a Mux.
type muxed struct {
	MuxHandler
	pattern *match.Pattern
	named   bool // the pattern has parameters with names
	depth   int  // how many patterns of the Mux cover its own
}

// NewMux makes a Mux of handlers, at least one. The error matches ErrInvalid. It
// refuses
//
//   - what is no pattern, a prefix that does not begin with $ and end with /, a Handle
//     that is nil;
//   - two patterns that match some topics in common where neither covers the other, or
//     both do: devices/7/{kind} and devices/{id}/up, or a/{x} and a/{y}. Neither could
//     go first. Two Subscriptions with a Mux each are the way to have both: each gets
//     the message.
//   - two patterns that overlap and differ in Prefix, NoLocal, RetainAsPublished or
//     RetainHandling.
func NewMux(handlers ...MuxHandler) (*Mux, error) {
	if len(handlers) == 0 {
		return nil, invalidMux("has no handlers")
	}
	m := new(Mux)
	all := make([]*muxed, len(handlers))
	for i, h := range handlers {
		var err error
		if all[i], err = h.parse(); err != nil {
			return nil, err
		}
	}
	for i, h := range all {
		for _, other := range all[:i] {
			if err := h.compare(other); err != nil {
				return nil, err
			}
		}
	}
	for _, h := range all {
		m.handlers.Insert(h.pattern.Filter(), h)
		if h.depth == 0 {
			m.filters = append(m.filters, h.filter(all))
		}
	}
	return m, nil
}

func invalidMux(format string, args ...any) error {
	return fmt.Errorf("mqtt: %w", invalid("mux", format, args...))
}

func (h MuxHandler) parse() (*muxed, error) {
	p, err := match.ParsePattern(h.Pattern)
	switch {
	case err != nil:
		return nil, invalidMux("%w", err)
	case h.Handle == nil:
		return nil, invalidMux("pattern %q has no function", h.Pattern)
	case h.QoS > ExactlyOnce:
		return nil, invalidMux("pattern %q has QoS %d, which is not 0, 1 or 2", h.Pattern, h.QoS)
	case h.Prefix != "" && !(strings.HasPrefix(h.Prefix, "$") && strings.HasSuffix(h.Prefix, "/")):
		return nil, invalidMux("prefix %.60q does not begin with $ and end with a slash", h.Prefix)
	}
	if err := match.ValidateFilter(h.Prefix + p.Filter()); err != nil {
		return nil, invalidMux("%w", err)
	}
	return &muxed{MuxHandler: h, pattern: p, named: len(p.Names()) > 0}, nil
}

// compare finds out how the topics of h and other lie to each other.
func (h *muxed) compare(other *muxed) error {
	a, b := h.pattern.Filter(), other.pattern.Filter()
	if !match.Overlap(a, b) {
		return nil
	}
	covers, covered := match.Covers(a, b), match.Covers(b, a)
	switch {
	case covers && covered:
		return invalidMux("patterns %q and %q match the same topics", other.Pattern, h.Pattern)
	case !covers && !covered:
		return invalidMux("patterns %q and %q overlap, and neither covers the other", other.Pattern, h.Pattern)
	case h.Prefix != other.Prefix || h.NoLocal != other.NoLocal ||
		h.RetainAsPublished != other.RetainAsPublished || h.RetainHandling != other.RetainHandling:
		return invalidMux("patterns %q and %q overlap, and their prefixes or options differ", other.Pattern, h.Pattern)
	case covers:
		other.depth++
	default:
		h.depth++
	}
	return nil
}

// filter returns what to subscribe to for h and all that h covers.
func (h *muxed) filter(all []*muxed) Filter {
	f := Filter{Filter: h.Prefix + h.pattern.Filter(), QoS: h.QoS,
		NoLocal: h.NoLocal, RetainAsPublished: h.RetainAsPublished, RetainHandling: h.RetainHandling}
	for _, other := range all {
		if other.QoS > f.QoS && match.Covers(h.pattern.Filter(), other.pattern.Filter()) {
			f.QoS = other.QoS
		}
	}
	return f
}

// Filters returns what to subscribe to: for each pattern that no other covers its
// filter. The QoS is the highest of those that it covers, so a handler that asked for
// less may get messages at that QoS.
func (m *Mux) Filters() []Filter { return slices.Clone(m.filters) }

// Handle calls the function for msg and returns its error. It is for Client.Handle and
// Subscription.Handle, which see to the rest.
func (m *Mux) Handle(ctx context.Context, msg *Message) error {
	h := m.find(msg.Topic)
	if h == nil {
		if m.Unmatched == nil {
			return TopicNameInvalid
		}
		return m.Unmatched(ctx, msg)
	}
	if h.named {
		if values, ok := h.pattern.Match(msg.Topic); ok {
			ctx = &muxContext{ctx, values}
		}
	}
	return h.MuxHandler.Handle(ctx, msg)
}

// find returns the handler for topic, or nil. Of those that match, each covers the
// next, so the one that most others cover is the narrowest.
func (m *Mux) find(topic string) (best *muxed) {
	var space [8]*muxed
	for _, h := range m.handlers.Append(space[:0], topic) {
		if best == nil || h.depth > best.depth {
			best = h
		}
	}
	return best
}

// muxContext is the context of a function whose pattern has parameters.
type muxContext struct {
	context.Context
	values match.Values
}

type muxKey struct{}

func (c *muxContext) Value(key any) any {
	if key == (muxKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// MuxValues returns the values of the parameters in the topic of a message: of those
// of the pattern for which a [Mux] has called the function with ctx, or a context made
// from it. If the pattern has none with names, or ctx is another, there are none.
//
//	id := mqtt.MuxValues(ctx).Get("id")
func MuxValues(ctx context.Context) match.Values {
	if c, ok := ctx.Value(muxKey{}).(*muxContext); ok {
		return c.values
	}
	return match.Values{}
}
