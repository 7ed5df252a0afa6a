package mqtt

import (
	"context"
	"slices"
)

// PublishHook sees every message that the application publishes. It can put the context
// of a trace into the user properties, for example.
type PublishHook interface {
	// Publish is called in the publisher's goroutine before the message is accepted. m
	// is a copy whose fields the hook may set. Slices in m and what its pointers refer
	// to belong to the caller and must not be changed. done is called once, with the
	// result of publishing: in the same goroutine, or with PublishAsync in a goroutine
	// of its own. If done is nil, the hook is not called again.
	Publish(ctx context.Context, m *Message) (done func(error))
}

// HandleHook sees every message that a function given to Handle or Respond gets.
type HandleHook interface {
	// Handle is called in the goroutine of the function, which gets the context that
	// Handle returns. done is called with the function's error after the function has
	// returned. If done is nil, the hook is not called again.
	Handle(ctx context.Context, m *Message) (handling context.Context, done func(error))
}

// hooks are those of Config.Hooks by what they want to see.
type hooks struct {
	publish []PublishHook
	handle  []HandleHook
}

func sortHooks(all []any) (h hooks, err error) {
	for i, hook := range all {
		p, publishes := hook.(PublishHook)
		if publishes {
			h.publish = append(h.publish, p)
		}
		f, handles := hook.(HandleHook)
		if handles {
			h.handle = append(h.handle, f)
		}
		if !publishes && !handles {
			return h, invalid("Config.Hooks", "number %d, a %T, is neither a PublishHook nor a HandleHook", i, hook)
		}
	}
	return h, nil
}

// publishing calls the hooks for m. The last hook is told first how it ended.
func (h *hooks) publishing(ctx context.Context, m *Message) (hooked *Message, done func(error)) {
	own := *m
	var outcomes []func(error)
	for _, hook := range h.publish {
		if f := hook.Publish(ctx, &own); f != nil {
			outcomes = append(outcomes, f)
		}
	}
	return &own, inReverse(outcomes)
}

// handling calls the hooks for m.
func (h *hooks) handling(ctx context.Context, m *Message) (context.Context, func(error)) {
	var outcomes []func(error)
	for _, hook := range h.handle {
		var f func(error)
		if ctx, f = hook.Handle(ctx, m); f != nil {
			outcomes = append(outcomes, f)
		}
	}
	return ctx, inReverse(outcomes)
}

// handler returns f with the hooks around it.
func (h *hooks) handler(f func(context.Context, *Message) error) func(context.Context, *Message) error {
	if len(h.handle) == 0 {
		return f
	}
	return func(ctx context.Context, m *Message) error {
		ctx, done := h.handling(ctx, m)
		err := f(ctx, m)
		done(err)
		return err
	}
}

// responding calls the hooks around f.
func (h *hooks) responding(f func(context.Context, *Message) (*Message, error)) func(context.Context, *Message) (*Message, error) {
	return func(ctx context.Context, m *Message) (*Message, error) {
		ctx, done := h.handling(ctx, m)
		answer, err := f(ctx, m)
		done(err)
		return answer, err
	}
}

func inReverse(outcomes []func(error)) func(error) {
	return func(err error) {
		for _, f := range slices.Backward(outcomes) {
			f(err)
		}
	}
}
