package match

import (
	"strconv"
	"unicode/utf8"
)

// Error says why a Topic Name, a Topic Filter or the text of a Pattern is not valid, or
// why a Pattern cannot make a topic.
type Error struct {
	Kind    string // "topic name", "topic filter", "topic pattern" or for example "value of {id}"
	Input   string // the text as it was given, of any length and content
	Problem string // for example "is not valid UTF-8"
}

const kindPattern = "topic pattern"

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
