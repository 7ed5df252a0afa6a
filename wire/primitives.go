package wire

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxField is the largest length of a string or binary field.
const maxField = 65535

// readVarint reads a variable byte integer. n is the number of its bytes. 0 means that b ends
// inside it, a negative n that it is longer than four bytes.
func readVarint(b []byte) (x uint32, n int) {
	for i := range 4 {
		if i == len(b) {
			return 0, 0
		}
		x |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return x, i + 1
		}
	}
	return 0, -1
}

// varintSize returns the smallest number of bytes for x. [MQTT-1.5.5-1]
func varintSize(x int) int {
	switch {
	case x < 1<<7:
		return 1
	case x < 1<<14:
		return 2
	case x < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(b []byte, x int) []byte {
	for x >= 0x80 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x))
}

// validText reports whether b is what a string field may hold: well-formed UTF-8, which excludes
// surrogates, without U+0000. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
func validText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

// validTopicName reports whether s, which is valid text, is a topic name: not empty and without wildcards.
// [MQTT-3.3.2-2] [MQTT-4.7.3-1]
func validTopicName[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] == '+' || s[i] == '#' {
			return false
		}
	}
	return len(s) > 0
}

// validFilter reports whether s, which is valid text, is a topic filter. Shared filters exist since 5.0.
func validFilter(s string, v Version) bool {
	if v == V5 && isShared(s) {
		// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		name, filter, _ := strings.Cut(strings.TrimPrefix(s[len(sharePrefix):], "/"), "/")
		if !validTopicName(name) {
			return false
		}
		s = filter
	}
	if s == "" {
		return false // [MQTT-4.7.3-1]
	}
	for level := range strings.SplitSeq(s, "/") {
		// [MQTT-4.7.1-1] [MQTT-4.7.1-2]: a wildcard fills its level.
		if len(level) > 1 && !validTopicName(level) {
			return false
		}
	}
	hash := strings.IndexByte(s, '#')
	return hash < 0 || hash == len(s)-1 // [MQTT-4.7.1-1]
}

const sharePrefix = "$share"

func isShared(filter string) bool {
	rest, ok := strings.CutPrefix(filter, sharePrefix)
	return ok && (rest == "" || rest[0] == '/')
}
