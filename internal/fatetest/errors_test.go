package fatetest

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// named are the errors with a name of their own, those that say most first.
var named = []struct {
	name string
	err  error
}{
	{"ErrUndeliverable", mqtt.ErrUndeliverable},
	{"ErrSessionLost", mqtt.ErrSessionLost},
	{"ErrExpired", mqtt.ErrExpired},
	{"ErrQueueFull", mqtt.ErrQueueFull},
	{"ErrStale", mqtt.ErrStale},
	{"ErrUnsubscribed", mqtt.ErrUnsubscribed},
	{"ErrNotConnected", mqtt.ErrNotConnected},
	{"ErrConnectionLost", mqtt.ErrConnectionLost},
	{"ErrStore", mqtt.ErrStore},
	{"store.ErrWrongKey", store.ErrWrongKey},
	{"bolt.ErrLocked", bolt.ErrLocked},
	{"bolt.ErrForeign", bolt.ErrForeign},
	{"ErrClosed", mqtt.ErrClosed},
	{"ErrInvalid", mqtt.ErrInvalid},
	{"Canceled", context.Canceled},
}

// nameOf returns the name that the document has for an error.
func nameOf(err error) string {
	if err == nil {
		return "nil"
	}
	name := err.Error() // fails the comparison and shows what came
	for i := len(named) - 1; i >= 0; i-- {
		if errors.Is(err, named[i].err) {
			name = named[i].name
		}
	}
	if _, ok := errors.AsType[*mqtt.ServerError](err); ok && name != "ErrUndeliverable" && name != "Canceled" {
		name = "*ServerError"
	}
	if _, ok := errors.AsType[*mqtt.LimitError](err); ok {
		name = "*LimitError"
	}
	if mqtt.NotSent(err) {
		name += ", not sent"
	}
	return name
}
