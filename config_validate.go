package mqtt

import (
	"bytes"
	"log/slog"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt/internal/capacity"
	"github.com/seed65a45251/mqtt/internal/plausible"
	"github.com/seed65a45251/mqtt/internal/transport"
)

// withDefaults returns the validated configuration with every zero resolved.
func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}
	switch c.ClientID {
	case "":
		c.ClientID = newClientID()
	case Empty:
		c.ClientID = "" // from here on
	}
	if c.MaximumQoS != nil {
		c.MaximumQoS = new(*c.MaximumQoS)
	}
	c.UserProperties = slices.Clone(c.UserProperties)
	c.Header = c.Header.Clone()
	c.FilterPrefixes = slices.Clone(c.FilterPrefixes)
	if c.FilterPrefixes == nil {
		c.FilterPrefixes = defaultFilterPrefixes
	}
	c.Will = c.Will.clone()
	if c.Store != nil {
		c.adopt, c.Resume = c.Resume, true
		c.SessionExpiry = defaultTo(c.SessionExpiry, 24*time.Hour)
	}
	c.SessionExpiry = defaultTo(c.SessionExpiry, 5*time.Minute)
	c.KeepAlive = defaultTo(c.KeepAlive, time.Minute)
	c.ConnectTimeout = defaultTo(c.ConnectTimeout, 15*time.Second)
	c.WriteTimeout = defaultTo(c.WriteTimeout, 15*time.Second)
	c.ReceiveMaximum = defaultTo(c.ReceiveMaximum, 1024)
	c.catchAll = c.HoldUnclaimed > 0 || c.HoldUnclaimed == 0 && c.HoldUnclaimedFor != 0
	c.HoldUnclaimed = defaultTo(c.HoldUnclaimed, int(c.ReceiveMaximum))
	c.HoldUnclaimedFor = defaultTo(c.HoldUnclaimedFor, time.Minute)
	c.StallAfter = defaultTo(c.StallAfter, 10*time.Second)
	c.QueueMessages = defaultTo(c.QueueMessages, 10_000)
	c.QueueBytes = defaultTo(c.QueueBytes, 64<<20)
	c.QueueAtMostOnce.Age = defaultTo(c.QueueAtMostOnce.Age, c.QueueAge)
	if c.Logger == nil {
		c.Logger = silent
	}
	return c, nil
}

// silent is the Logger of those who set none.
var silent = slog.New(slog.DiscardHandler)

func defaultTo[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// validate refuses what cannot work. It checks one subject after the other.
func (c *Config) validate() error {
	for _, check := range []func() error{
		c.validateProtocol, c.validateIdentity, c.validateDurations, c.validateQueues,
		c.validateAuthenticator, c.validateConnections, c.validateProperties, c.validateWill,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateProtocol checks what the client speaks and how it subscribes.
func (c *Config) validateProtocol() error {
	if c.Version != Auto && (c.Version < V31 || c.Version > V5) {
		return invalid("Config.Version", "%d is not Auto, V31, V311 or V5", c.Version)
	}
	if c.MaximumQoS != nil && *c.MaximumQoS > ExactlyOnce {
		return invalid("Config.MaximumQoS", "%d is not 0, 1 or 2", *c.MaximumQoS)
	}
	if n := c.MaximumPacketSize; n > 0 && n < leastPacketSize {
		return invalid("Config.MaximumPacketSize", "%d bytes, less than %d, which the answers of a server take", n, leastPacketSize)
	}
	if c.FiltersPerSubscribe < 0 {
		return invalid("Config.FiltersPerSubscribe", "%d is negative", c.FiltersPerSubscribe)
	}
	if err := validateFilterPrefixes(c.FilterPrefixes); err != nil {
		return err
	}
	return validateResponsePrefix(c.ResponsePrefix)
}

// validateQueues checks the limits of what waits to be sent.
func (c *Config) validateQueues() error {
	for name, n := range map[string]int{"Inflight": c.Inflight, "QueueMessages": c.QueueMessages, "QueueBytes": c.QueueBytes} {
		if n < 0 {
			return invalid("Config."+name, "%d is negative", n)
		}
	}
	if c.QueueAge < 0 {
		return invalid("Config.QueueAge", "%v is negative", c.QueueAge)
	}
	if err := c.PublishRate.validate(); err != nil {
		return err
	}
	if err := c.QueueAtMostOnce.validate(); err != nil {
		return err
	}
	for name, p := range map[string]FullPolicy{"AtMostOnce": c.WhenFull.AtMostOnce, "Acknowledged": c.WhenFull.Acknowledged} {
		if p > FullKeepLatest {
			return invalid("Config.WhenFull."+name, "unknown policy %d", p)
		}
	}
	return nil
}

// queueLimits returns those of c in one place. c has its defaults.
func (c *Config) queueLimits() queueLimits {
	return queueLimits{
		full: c.WhenFull,
		all:  capacity.Load{Messages: c.QueueMessages, Bytes: c.QueueBytes},
		atMostOnce: capacity.Load{
			Messages: defaultTo(c.QueueAtMostOnce.Messages, c.QueueMessages),
			Bytes:    defaultTo(c.QueueAtMostOnce.Bytes, c.QueueBytes),
		},
	}
}

// validateConnections checks how the client connects, and to which server first.
func (c *Config) validateConnections() error {
	if err := c.Reconnect.Validate(); err != nil {
		return invalid("Config.Reconnect", "%w", err)
	}
	if c.ServerOrder > RandomServer {
		return invalid("Config.ServerOrder", "%d is not StayWithServer, FirstServerFirst or RandomServer", c.ServerOrder)
	}
	if err := transport.ValidateHeader(c.Header); err != nil {
		return invalid("Config.Header", "%w", err)
	}
	return nil
}

// validateProperties checks the user properties of CONNECT.
func (c *Config) validateProperties() error {
	if err := validateUserProperties(c.UserProperties); err != nil {
		return invalid("Config.UserProperties", "%w", err)
	}
	if len(c.UserProperties) > 0 && (c.Version == V31 || c.Version == V311) {
		return invalid("Config.UserProperties", "MQTT %v has none", c.Version)
	}
	return nil
}

func (c *Config) validateIdentity() error {
	if c.Store != nil && (c.ClientID == "" || c.ClientID == Empty) {
		return invalid("Config.Store", "needs a ClientID")
	}
	if err := validateSession("Config.SessionExpiry", c.SessionExpiry, c); err != nil {
		return err
	}
	if c.Store == nil && c.StoreInterval != 0 {
		return invalid("Config.StoreInterval", "needs a Store")
	}
	if c.Store == nil && c.StoreSubscriptions {
		return invalid("Config.StoreSubscriptions", "needs a Store")
	}
	if err := validateClientID("Config.", c.ClientID, c); err != nil {
		return err
	}
	if c.Bridge && c.Version != V31 && c.Version != V311 {
		return invalid("Config.Bridge", "needs Version V311 or V31; in 5.0 the options of a Filter say the same")
	}
	if c.Resume && c.ClientID == "" {
		return invalid("Config.Resume", "needs a ClientID")
	}
	return validateCredentials("Config.", c.Username, c.Password, c.Version)
}

// validateCredentials obeys the rules of CONNECT; where goes before the names of
// the fields.
func validateCredentials(where, username string, password Secret, v Version) error {
	if username != Empty {
		if err := validateText(where+"Username", username); err != nil {
			return err
		}
	}
	if len(password) > math.MaxUint16 {
		return invalid(where+"Password", "%d bytes, more than 65535", len(password))
	}
	// [MQTT-3.1.2-22] of 3.1.1
	if password != "" && username == "" && (v == V31 || v == V311) {
		return invalid(where+"Password", "MQTT %v needs a Username with it", v)
	}
	return nil
}

// validateClientID obeys the rules of CONNECT; where goes before the name of the field.
func validateClientID(where, id string, c *Config) error {
	if id == Empty {
		switch {
		case c.Resume:
			return invalid(where+"ClientID", "is empty; Config.Resume needs one that is not")
		case c.Version == V31:
			return invalid(where+"ClientID", "is empty; MQTT 3.1 needs 1 to 23 characters")
		}
		return nil
	}
	if err := validateText(where+"ClientID", id); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(id); c.Version == V31 && n > 23 {
		return invalid(where+"ClientID", "has %d characters; MQTT 3.1 allows 1 to 23", n)
	}
	return nil
}

// validateSession refuses to have no session where Config needs one; what names the field
// with the session expiry.
func validateSession(what string, expiry time.Duration, c *Config) error {
	if c.Store != nil && expiry < 0 {
		return invalid(what, "says that there is no session, and Config.Store needs one")
	}
	return nil
}

func (c *Config) validateWill() error { return validateWill("Config.Will", c.Will, c) }

// validateWill obeys the rules of CONNECT; what names the will.
func validateWill(what string, w *Will, c *Config) error {
	if w == nil {
		return nil
	}
	if err := w.validate(); err != nil {
		return invalid(what, "%w", err)
	}
	if c.MaximumQoS != nil && w.QoS > *c.MaximumQoS { // [MQTT-3.2.2-12]
		return invalid(what, "QoS %d is above Config.MaximumQoS", w.QoS)
	}
	if len(w.Payload) > math.MaxUint16 {
		return invalid(what, "payload of %d bytes, more than 65535", len(w.Payload))
	}
	if w.DelayInterval < 0 || w.DelayInterval > math.MaxUint32*time.Second {
		return invalid(what, "delay interval of %v is not between 0 and %v", w.DelayInterval, math.MaxUint32*time.Second)
	}
	if err := checkSeconds(what+": delay interval", w.DelayInterval); err != nil {
		return err
	}
	if p := w.publish(); (p.Properties != nil || w.DelayInterval > 0) && (c.Version == V31 || c.Version == V311) {
		return invalid(what, "MQTT %v has no properties", c.Version)
	}
	return nil
}

// clone returns a copy that shares nothing with w, which may be nil.
func (w *Will) clone() *Will {
	if w == nil {
		return nil
	}
	own := *w
	own.Payload = bytes.Clone(own.Payload)
	own.CorrelationData = bytes.Clone(own.CorrelationData)
	own.UserProperties = slices.Clone(own.UserProperties)
	return &own
}

func (c *Config) validateAuthenticator() error {
	if c.Authenticator == nil {
		return nil
	}
	if c.Version == V31 || c.Version == V311 {
		return invalid("Config.Authenticator", "MQTT %v has no enhanced authentication", c.Version)
	}
	method := c.Authenticator.Method()
	if method == "" {
		return invalid("Config.Authenticator", "names no method")
	}
	return validateText("Config.Authenticator: method", method)
}

// validateDurations refuses what the protocol cannot express, and what was probably
// meant in another unit.
func (c *Config) validateDurations() error {
	if err := validateInterval("Config.KeepAlive", c.KeepAlive, longestKeepAlive); err != nil {
		return err
	}
	if err := validateInterval("Config.SessionExpiry", c.SessionExpiry, longestSessionExpiry); err != nil {
		return err
	}
	for name, d := range map[string]time.Duration{
		"PingTimeout": c.PingTimeout, "ConnectTimeout": c.ConnectTimeout, "WriteTimeout": c.WriteTimeout,
		"MaximumConnectionAge": c.MaximumConnectionAge,
	} {
		if d < 0 {
			return invalid("Config."+name, "%v is negative", d)
		}
	}
	for name, d := range map[string]time.Duration{
		"PingTimeout": c.PingTimeout, "ConnectTimeout": c.ConnectTimeout, "WriteTimeout": c.WriteTimeout,
		"HoldUnclaimedFor": c.HoldUnclaimedFor, "StallAfter": c.StallAfter, "MaximumConnectionAge": c.MaximumConnectionAge,
		"Reconnect.Max": c.Reconnect.Max, "Reconnect.HealthyAfter": c.Reconnect.HealthyAfter,
	} {
		if err := checkTimeout("Config."+name, d); err != nil {
			return err
		}
	}
	return nil
}

// leastPacketSize is enough for CONNACK, and for SUBACK of a few filters.
const leastPacketSize = 16

const (
	longestKeepAlive     = math.MaxUint16 * time.Second
	longestSessionExpiry = math.MaxUint32 * time.Second
)

// validateInterval refuses what CONNECT cannot say, and what was probably meant in another
// unit.
func validateInterval(what string, d, longest time.Duration) error {
	if d > longest {
		return invalid(what, "%v is more than %v", d, longest)
	}
	return checkSeconds(what, d)
}

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
