package mqtt

import (
	"context"
	"errors"
	"slices"

	"github.com/seed65a45251/mqtt/match"
)

// consuming calls the hooks for a message that a consumer is about to get from a filter, or
// for a batch that begins with it. done, which is never nil, tells them that the consumer has
// it, or why not.
type consuming func(ctx context.Context, o Operation, filter string, m *Message, batch []*Message) (_ context.Context, done func(error))

// errNotReturned is what a hook hears of a function or a loop body that panics.
var errNotReturned = errors.New("the function has not returned")

// around calls f with the hooks around it, which are told what it returns. f gets the
// context that they return.
func (c consuming) around(ctx context.Context, o Operation, filter string, m *Message, batch []*Message, f func(context.Context) error) error {
	ctx, done := c(ctx, o, filter, m, batch)
	err := errNotReturned
	defer func() { done(err) }() // also when f panics
	err = f(ctx)
	return err
}

// consume calls the hooks for a message that a consumer of s is about to get, of which
// there has to be one.
func (s *Subscription) consume(ctx context.Context, o Operation, m *Message) (context.Context, func(error)) {
	return s.inbox.consuming(ctx, o, s.filterOf(m.Topic), m, nil)
}

// hooked returns f with the hooks around it.
func (s *Subscription) hooked(f func(context.Context, *Message) error) func(context.Context, *Message) error {
	hooks := s.inbox.consuming
	if hooks == nil {
		return f
	}
	return func(ctx context.Context, m *Message) error {
		return hooks.around(ctx, OperationHandle, s.filterOf(m.Topic), m, nil, func(ctx context.Context) error { return f(ctx, m) })
	}
}

// hookedBatch returns f with the hooks around it.
func (s *Subscription) hookedBatch(f func(context.Context, []*Message) error) func(context.Context, []*Message) error {
	hooks := s.inbox.consuming
	if hooks == nil {
		return f
	}
	return func(ctx context.Context, batch []*Message) error {
		first, seen := batch[0], slices.Clone(batch) // batch is the function's own
		return hooks.around(ctx, OperationHandleBatches, s.filterOf(first.Topic), first, seen, func(ctx context.Context) error { return f(ctx, batch) })
	}
}

// filterOf returns the filter of s that topic matches, or its first.
func (s *Subscription) filterOf(topic string) string {
	if len(s.options.Filters) == 1 {
		return s.name()
	}
	if s.index != nil {
		if filter, found := s.inbox.router.filterOf(s, topic); found {
			return filter
		}
	}
	prefixes := s.inbox.router.prefixes
	for _, f := range s.options.Filters {
		for _, topics := range prefixes.topics(f.Filter) {
			if match.MatchPlain(topics, topic) {
				return f.Filter
			}
		}
	}
	return s.name()
}
