package store

import (
	"errors"
	"fmt"
)

// ErrKey is wrapped by the error of a Commit with a key that is empty or longer
// than MaxKey.
var ErrKey = errors.New("key is empty or too long")

// Check returns the error with which a Commit refuses ops, or nil. Implementations of
// Store call it first, so that all of them refuse the same operations.
func Check(ops []Op) error {
	for i, op := range ops {
		if len(op.Key) == 0 || len(op.Key) > MaxKey {
			return fmt.Errorf("store: operation %d: %w (%d bytes)", i, ErrKey, len(op.Key))
		}
	}
	return nil
}
