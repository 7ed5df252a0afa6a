package mqtt

import (
	"crypto/rand"
	"strings"

	"github.com/seed65a45251/mqtt/match"
)

// errorProperty marks the response that reports an error, with its text.
const errorProperty = "response-error"

// newResponseTopic makes a topic that nobody can guess. base is the client's
// setting, info what the server said.
func newResponseTopic(base, info string) string {
	if base == "" {
		base = info
	}
	if base == "" {
		base = "responses"
	}
	return strings.TrimSuffix(base, "/") + "/" + rand.Text()
}

// validateResponsePrefix sees that a level can follow prefix.
func validateResponsePrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if err := match.ValidateTopic(newResponseTopic(prefix, "")); err != nil {
		return invalid("Config.ResponsePrefix", "%w", err)
	}
	return nil
}
