package broker

import "fmt"

// RecordError says which record of [Config.Store] the broker could not use. It has
// changed nothing then.
type RecordError struct {
	Key []byte
	Err error
}

// Error names the key.
func (e *RecordError) Error() string { return fmt.Sprintf("mqtt: record %q: %v", e.Key, e.Err) }

// Unwrap returns what is wrong with the record.
func (e *RecordError) Unwrap() error { return e.Err }
