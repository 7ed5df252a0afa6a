//go:build js

package wsconn

import (
	"errors"
	"net"
	"net/http"
)

// Accept refuses r: a browser is no server.
func Accept(w http.ResponseWriter, _ *http.Request) (*Conn, net.Conn, error) {
	http.Error(w, http.StatusText(http.StatusNotImplemented), http.StatusNotImplemented)
	return nil, nil, errors.ErrUnsupported
}
