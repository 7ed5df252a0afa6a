package match

import (
	"strconv"
	"unicode/utf8"
)

// Error says why a Topic Name or Topic Filter is not valid.
type Error struct {
	Kind    string // "topic name" or "topic filter"
	Input   string // the text as it was given, of any length and content
	Problem string // for example "is not valid UTF-8"
}

// shownBytes is how much of the input an error text repeats at most.
const shownBytes = 64

// Error returns one line of bounded length: the input is quoted and, when it is
// long, cut.
func (e *Error) Error() string {
	shown, cut := e.Input, ""
	if len(shown) > shownBytes {
		end := shownBytes
		// Not through the middle of a character.
		for end > shownBytes-utf8.UTFMax && !utf8.RuneStart(shown[end]) {
			end--
		}
		shown, cut = shown[:end], "..."
	}
	return e.Kind + " " + strconv.Quote(shown) + cut + " " + e.Problem
}
