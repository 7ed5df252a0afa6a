package durable

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/session"
)

// ErrOtherClient is the error of a store that another client identifier uses.
var ErrOtherClient = errors.New("the store belongs to another client")

// header is the record of what concerns the session as a whole.
type header struct {
	ClientID   string
	Identity   string // of the Store: random, in the keys of received messages
	Continuity session.ContinuityRecord
}

func newHeader(clientID string) header {
	return header{ClientID: clientID, Identity: rand.Text()[:13]}
}

func (h *header) encode() []byte {
	v, err := json.Marshal(h)
	if err != nil {
		panic(err) // text and numbers only
	}
	return seal(append(begin(len(v)), v...))
}

// decodeHeader returns the header in v, which has to be that of clientID.
func decodeHeader(v []byte, clientID string) (h header, err error) {
	b, err := unseal(v)
	if err != nil {
		return h, err
	}
	if json.Unmarshal(b, &h) != nil || h.Identity == "" {
		return h, errDamaged
	}
	if h.ClientID != clientID {
		return h, fmt.Errorf("%w: %.80q, not %.80q", ErrOtherClient, h.ClientID, clientID)
	}
	return h, nil
}
