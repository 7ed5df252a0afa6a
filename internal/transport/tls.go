package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// startTLS makes nc, which it takes over, a TLS connection to host.
func startTLS(ctx context.Context, nc net.Conn, conf *tls.Config, host string) (*tls.Conn, error) {
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName = zoneless(host)
	}
	if conf.MinVersion == 0 {
		conf.MinVersion = tls.VersionTLS12
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		if _, other := errors.AsType[tls.RecordHeaderError](err); other {
			err = fmt.Errorf("server does not speak TLS; did you mean a URL without it? %w", err)
		}
		if ctx.Err() == nil {
			err = &TLSError{err}
		}
		return nil, err
	}
	return tc, nil
}
