package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/internal/plausible"
)

// checkSeconds refuses what is less than the second in which the protocol counts.
func checkSeconds(what string, d time.Duration) error {
	return refuseDuration(what, plausible.Seconds(d))
}

// checkTimeout refuses what is too short for anything to happen.
func checkTimeout(what string, d time.Duration) error {
	return refuseDuration(what, plausible.Timeout(d))
}

func refuseDuration(what, complaint string) error {
	if complaint == "" {
		return nil
	}
	return invalid(what, "%s", complaint)
}
