// Package plausible finds settings whose values make no sense, and suggests what was
// meant. An example is a duration of 60 nanoseconds where seconds are meant.
package plausible

import (
	"fmt"
	"time"
)

// Seconds returns why a duration that MQTT counts in seconds makes no sense, such as
// 60, which is 60 nanoseconds and not a minute. It returns "" for zero, for negative
// durations and for plausible ones.
func Seconds(d time.Duration) string {
	switch {
	case d <= 0 || d >= time.Second:
		return ""
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%v is less than a second, in which MQTT counts", d)
	}
	return fmt.Sprintf("%v is less than a second; did you mean %d * time.Second?", d, d)
}

// Timeout is Seconds for a duration in which something has to happen. Less than a
// millisecond makes no sense for it.
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
