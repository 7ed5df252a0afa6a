package transport

import (
	"fmt"
	"net/http"
	"strings"
)

// ValidateHeader refuses what cannot be sent and what belongs to the handshake.
// It names no values: they may be secret.
func ValidateHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, notInToken) {
			return fmt.Errorf("%.40q is not the name of a header", name)
		}
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol",
			"Sec-Websocket-Extensions", "Content-Length", "Transfer-Encoding":
			return fmt.Errorf("%s is set by the WebSocket handshake itself", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of %s has characters that a header cannot have", name)
			}
		}
	}
	return nil
}

// notInToken reports whether r cannot be part of a name (RFC 9110, 5.6.2).
func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}
