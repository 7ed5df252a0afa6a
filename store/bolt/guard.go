package bolt

import (
	"fmt"
	"runtime/debug"
)

// guard calls f and makes errors of the panics with which bbolt meets a damaged
// file, and of the faults with which the processor meets one that has become too
// short for where it is mapped.
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
