package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// overlook passes over the fault err, if tolerate says so, and reports whether it did.
func overlook(tolerate func(*wire.Error), err error) bool {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || tolerate == nil {
		return false
	}
	tolerate(fault)
	return true
}
