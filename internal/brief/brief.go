// Package brief shortens what a peer says for a line of the log.
package brief

import "strings"

// Limit is how many bytes of a text are kept.
const Limit = 400

// Text returns the beginning of a text, and a mark if there is more.
func Text(text string) string {
	if len(text) <= Limit {
		return text
	}
	return strings.ToValidUTF8(text[:Limit], "") + "…"
}
