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

func (c *Config) validateDurations() error {
	for name, d := range map[string]time.Duration{"KeepAlive": c.KeepAlive, "SessionExpiry": c.SessionExpiry} {
		if err := checkSeconds("Config."+name, d); err != nil {
			return err
		}
	}
	for name, d := range map[string]time.Duration{
		"PingTimeout": c.PingTimeout, "ConnectTimeout": c.ConnectTimeout, "WriteTimeout": c.WriteTimeout,
		"HoldUnclaimedFor": c.HoldUnclaimedFor, "StallAfter": c.StallAfter,
		"Reconnect.Max": c.Reconnect.Max, "Reconnect.HealthyAfter": c.Reconnect.HealthyAfter,
	} {
		if err := checkTimeout("Config."+name, d); err != nil {
			return err
		}
	}
	return nil
}
