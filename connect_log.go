package mqtt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/seed65a45251/mqtt/internal/brief"
)

// The log has a line when a connection begins and one when it ends, which name the same
// connection.

// logEstablished says that k has begun, with the session that event tells of.
func (c *Client) logEstablished(k *conn, v Version, event Event) {
	attrs := append(k.names(), slog.String("version", v.String()))
	if state := k.nc.TLS(); state != nil {
		attrs = append(attrs, slog.String("tls", tls.VersionName(state.Version)))
	}
	attrs = append(attrs, slog.String("session", nameOfSession(event)), slog.Int("attempt", k.place.attempt))
	c.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "mqtt connection established", attrs...)
}

// logEnded says that err has ended k.
func (c *Client) logEnded(k *conn, err error) {
	attrs := append(k.names(), slog.Duration("lasted", time.Since(k.start.Add(k.up))), slog.Any("cause", err))
	c.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "mqtt connection ended", attrs...)
}

// unverified says that the client talks to whoever has answered, which it does once.
func (c *Client) unverified(url string) {
	c.logger.Warn("mqtt certificate of the server is not verified: anybody could have answered; "+
		"InsecureSkipVerify of Config.TLS is set, and no VerifyConnection", "server", url)
}

// names are the attributes of k that both lines have.
func (k *conn) names() []slog.Attr {
	return []slog.Attr{slog.String("client_id", brief.Text(k.clientID)), slog.String("server", k.place.url), slog.String("address", k.place.address)}
}

func nameOfSession(e Event) string {
	switch {
	case e.Session == SessionLost:
		return "lost"
	case e.Session == SessionNew:
		return "new"
	case e.Unproven:
		return "resumed, unproven"
	}
	return "resumed"
}
