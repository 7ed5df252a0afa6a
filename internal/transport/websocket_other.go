//go:build !js

package transport

import (
	"context"
	"net"
)

// inBrowser says that the only network is that of a browser.
const inBrowser = false

// openInBrowser reports that c is no WebSocket of a browser.
func (c *Conn) openInBrowser(context.Context, Upgrade) (done bool, err error) { return false, nil }

// plainNetwork is that of everybody who sets neither Resolver nor LocalAddr.
var plainNetwork Network = &systemNetwork{Resolver: net.DefaultResolver}
