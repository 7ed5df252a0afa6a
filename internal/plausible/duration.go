// Package plausible guesses what was meant by a setting whose value makes no sense, such
// as a duration of 60 nanoseconds where seconds are meant.
package plausible

import (
	"fmt"
	"time"
)

// Seconds returns what is wrong with a duration that MQTT counts in seconds: a
// [time.Duration] counts nanoseconds, so 60 is not a minute. It returns "" for zero,
// what is negative and what can be meant.
func Seconds(d time.Duration) string {
	switch {
	case d <= 0 || d >= time.Second:
		return ""
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%v is less than a second, in which MQTT counts", d)
	}
	return fmt.Sprintf("%v is less than a second; did you mean %d * time.Second?", d, d)
}

// Timeout is Seconds for a duration in which something has to happen, for which less
// than a millisecond is too short.
func Timeout(d time.Duration) string {
	unit := "time.Second"
	switch {
	case d <= 0 || d >= time.Millisecond:
		return ""
	case d >= time.Microsecond:
		unit = "time.Millisecond"
	}
	return fmt.Sprintf("%v is less than a millisecond; did you mean %d * %s?", d, d, unit)
}
