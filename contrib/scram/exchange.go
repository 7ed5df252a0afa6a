package scram

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// maxIterations is the most work that a server can ask for: some seconds. Fewer
// than 4096 rounds are refused as well (RFC 7677), because they would help a
// server that wants to guess the password.
const maxIterations = 10_000_000

// exchange is one authentication.
type exchange struct {
	authenticator *Authenticator
	deriver       *deriver
	conversation  *scram.ClientConversation
}

func (x *exchange) step(challenge string) ([]byte, error) {
	answer, err := x.conversation.Step(challenge)
	if err != nil {
		return nil, fmt.Errorf("scram: %w", err)
	}
	return []byte(answer), nil
}

// Continue answers the server's first message, and verifies its last one where
// that comes as a challenge of its own.
func (x *exchange) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	for field := range strings.SplitSeq(string(challenge), ",") {
		rounds, isRounds := strings.CutPrefix(field, "i=")
		if n, err := strconv.Atoi(rounds); isRounds && (err != nil || n > maxIterations) {
			return nil, fmt.Errorf("scram: server asks for %.20q iterations, more than %d", rounds, maxIterations)
		}
	}
	return x.step(string(challenge))
}

// Finish verifies the server's signature.
func (x *exchange) Finish(_ context.Context, final []byte) error {
	if len(final) > 0 && !x.conversation.Done() {
		if _, err := x.step(string(final)); err != nil {
			return err
		}
	}
	if !x.conversation.Valid() {
		return errors.New("scram: server has not proved that it knows the user")
	}
	x.authenticator.proven.Store(x.deriver)
	return nil
}
