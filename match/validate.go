package match

import (
	"strings"
	"unicode/utf8"
)

// maxLength is the longest a string on the wire can be, in bytes of UTF-8.
const maxLength = 65535

// ValidateTopic returns nil for a valid Topic Name, otherwise an [*Error].
// Spaces, control characters other than U+0000 and empty levels are valid.
func ValidateTopic(topic string) error {
	if uint(len(topic)-1) < maxLength && plainASCII(topic) {
		return nil
	}
	problem := textProblem(topic)
	// A name that a message is published to has no wildcard. [MQTT-4.7.0-1]
	if problem == "" && HasWildcard(topic) {
		problem = "has a wildcard"
	}
	if problem == "" {
		return nil
	}
	return &Error{Kind: "topic name", Input: topic, Problem: problem}
}

// ValidateFilter returns nil for a valid Topic Filter of MQTT 5.0, otherwise an
// [*Error]. A filter whose first level is $share must be a shared filter:
// $share, a name, and a filter.
func ValidateFilter(filter string) error {
	problem := textProblem(filter)
	if problem == "" {
		plain := filter
		if first, tail, _ := strings.Cut(filter, "/"); first == sharedLevel {
			// If the name is missing, or nothing follows it, the parts are empty and
			// refused as such.
			var share string
			share, plain, _ = strings.Cut(tail, "/")
			problem = sharedProblem(share, plain)
		}
		if problem == "" {
			problem = wildcardProblem(plain)
		}
	}
	return filterError(filter, problem)
}

// ValidatePlainFilter is [ValidateFilter] for MQTT 3.1 and 3.1.1, where $share
// has no meaning.
func ValidatePlainFilter(filter string) error {
	problem := textProblem(filter)
	if problem == "" {
		problem = wildcardProblem(filter)
	}
	return filterError(filter, problem)
}

func filterError(filter, problem string) error {
	if problem == "" {
		return nil
	}
	return &Error{Kind: "topic filter", Input: filter, Problem: problem}
}

// textProblem checks what names and filters have in common.
func textProblem(s string) string {
	switch {
	// At least one character. [MQTT-4.7.3-1]
	case s == "":
		return "is empty"
	// At most what a length of two bytes can say. [MQTT-4.7.3-3]
	case len(s) > maxLength:
		return "is longer than 65535 bytes"
	// Well-formed UTF-8, which excludes surrogates. [MQTT-1.5.4-1]
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	// No null character. [MQTT-4.7.3-2] [MQTT-1.5.4-2]
	case strings.IndexByte(s, 0) >= 0:
		return "contains U+0000"
	}
	return ""
}

// sharedProblem checks the parts of a shared filter, but not the wildcards of
// the filter in it.
func sharedProblem(share, filter string) string {
	switch {
	// The share name has at least one character. [MQTT-4.8.2-1]
	case share == "":
		return "has no share name"
	// No wildcard in the share name, and a filter after it. [MQTT-4.8.2-2]
	case HasWildcard(share):
		return "has a wildcard in the share name"
	case filter == "":
		return "has nothing after the share name"
	}
	return ""
}

// wildcardProblem checks where the wildcards of a filter stand.
func wildcardProblem(filter string) string {
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		switch {
		case level == "+" || !HasWildcard(level):
		// # is the last character, and alone in its level. [MQTT-4.7.1-1]
		case level == "#":
			if more {
				return "has # before the last level"
			}
		case strings.IndexByte(level, '#') >= 0:
			return "has # beside other characters in a level"
		// + fills its level. [MQTT-4.7.1-2]
		default:
			return "has + beside other characters in a level"
		}
	}
	return ""
}
