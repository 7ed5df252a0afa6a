package bolt

import (
	"fmt"
	"runtime/debug"
)

// guard calls f and turns panics into errors: those of bbolt on a damaged file, and
// memory faults on a file that has become shorter than its mapping.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p}
		}
	}()
	return f()
}

// panicError is a panic of bbolt. It counts as damage.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("%v: %v", ErrDamaged, e.value) }

func (e *panicError) Unwrap() error { return ErrDamaged }
