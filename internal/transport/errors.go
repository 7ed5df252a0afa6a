package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// HTTPError is the answer of a server to the WebSocket handshake, or of an HTTP
// proxy to CONNECT, that is not the one needed. Redirections are not followed:
// the headers and the query of the request may be secret.
type HTTPError struct {
	Proxy      bool // a proxy said it
	StatusCode int
}

// Error names who said what.
func (e *HTTPError) Error() string {
	who := "server answered the WebSocket handshake with"
	if e.Proxy {
		who = "proxy answered CONNECT with"
	}
	return fmt.Sprintf("%s %d %s", who, e.StatusCode, http.StatusText(e.StatusCode))
}

// TLSError says that there is no agreement on TLS, or no trust, and what to do about it.
type TLSError struct{ err error }

func newTLSError(err error, advice string) *TLSError {
	text := err.Error()
	if !strings.HasPrefix(text, "tls: ") && !strings.HasPrefix(text, "remote error: tls: ") {
		err = fmt.Errorf("TLS: %w", err)
	}
	return &TLSError{advised(err, advice)}
}

// Error is that of the TLS handshake.
func (e *TLSError) Error() string { return e.err.Error() }

// Unwrap returns why.
func (e *TLSError) Unwrap() error { return e.err }

// ForeignError says that what answered does not speak MQTT.
type ForeignError struct {
	said, instead string
	err           error
}

// Error says what the server speaks, and which URL may be right.
func (e *ForeignError) Error() string {
	return "server speaks " + e.said + " and not MQTT; did you mean " + e.instead + "?"
}

// Unwrap returns how the attempt to speak MQTT failed.
func (e *ForeignError) Unwrap() error { return e.err }

// ClosedByPeer reports whether err is how the end of a connection looks that the peer closed
// or reset.
func ClosedByPeer(err error) bool {
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		const aborted, reset = 10053, 10054 // of Windows, which has other names for them
		return code == syscall.ECONNRESET || code == syscall.EPIPE ||
			runtime.GOOS == "windows" && (code == aborted || code == reset)
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

// maxJoined bounds how many errors are told of several.
const maxJoined = 8

// Join makes one error of the last of errs. Unlike that of [errors.Join] it is one line
// and says nothing twice.
func Join(errs ...error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return joined(errs[max(0, len(errs)-maxJoined):])
}

type joined []error

func (l joined) Error() string {
	var texts []string
	for _, err := range l {
		if text := err.Error(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

func (l joined) Unwrap() []error { return l }
