// Package output knows whether a stream is a terminal, and colours only there.
package output

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/spf13/pflag"
)

// Colours says when to use colours.
type Colours string

// The values of --color.
const (
	Auto   Colours = "auto" // on a terminal, unless NO_COLOR is set or TERM is dumb
	Always Colours = "always"
	Never  Colours = "never"
)

var _ pflag.Value = new(Colours)

// String returns the value as it is written.
func (c *Colours) String() string { return string(*c) }

// Type names the values.
func (c *Colours) Type() string { return "WHEN" }

// Set takes one of the values.
func (c *Colours) Set(s string) error {
	switch v := Colours(s); v {
	case Auto, Always, Never:
		*c = v
		return nil
	}
	return fmt.Errorf("must be auto, always or never")
}

// AddFlags adds --color, for a command and those below it.
func AddFlags(flags *pflag.FlagSet) {
	when := Auto
	flags.Var(&when, "color", "colours: auto, always or never")
}

// Stream is standard output or standard error.
type Stream struct {
	io.Writer
	Terminal bool // a person reads it: align, and leave out what could control the terminal
	Colour   bool
	file     *os.File
}

// New looks at w. flags are those of the command that writes; they may lack --color.
func New(w io.Writer, flags *pflag.FlagSet) *Stream {
	s := &Stream{Writer: w}
	if file, ok := w.(*os.File); ok {
		s.file = file
		s.Terminal = term.IsTerminal(int(file.Fd()))
	}
	when := Auto
	if flags != nil {
		if f := flags.Lookup("color"); f != nil {
			when = Colours(f.Value.String())
		}
	}
	switch when {
	case Always:
		s.Colour = true
	case Auto:
		s.Colour = s.Terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return s
}

// Width returns the columns of the terminal, and 80 where there is none.
func (s *Stream) Width() int {
	if s.file != nil {
		if width, _, err := term.GetSize(int(s.file.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// Style is an SGR sequence of a terminal.
type Style string

// The styles that commands use. All can be told apart on light and dark backgrounds.
const (
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "34"
	Cyan   Style = "36"
)

// Paint returns text in that style, or as it is where there are no colours.
func (s *Stream) Paint(style Style, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}
