package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// overlook reports whether err is passed over: it is a [*wire.Error] and tolerate, which
// is then called, is not nil.
func overlook(tolerate func(*wire.Error), err error) bool {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || tolerate == nil {
		return false
	}
	tolerate(fault)
	return true
}
