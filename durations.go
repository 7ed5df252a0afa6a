package mqtt

import "time"

// A Duration counts nanoseconds, so 60 is not a minute. Those that can not be meant are
// refused, with what was probably meant.

// checkSeconds refuses what is less than the second in which the protocol counts.
func checkSeconds(what string, d time.Duration) error {
	switch {
	case d <= 0 || d >= time.Second:
		return nil
	case d%time.Millisecond == 0:
		return invalid(what, "%v is less than a second, in which MQTT counts", d)
	}
	return invalid(what, "%v is less than a second; did you mean %d * time.Second?", d, d)
}

// checkTimeout refuses what is too short for anything to happen.
func checkTimeout(what string, d time.Duration) error {
	unit := "time.Second"
	switch {
	case d <= 0 || d >= time.Millisecond:
		return nil
	case d >= time.Microsecond:
		unit = "time.Millisecond"
	}
	return invalid(what, "%v is less than a millisecond; did you mean %d * %s?", d, d, unit)
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
