package source

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// Flags are the options that say what to publish.
type Flags struct {
	topic                          string
	text                           string
	file                           string
	stdin, lines, records, nothing bool
	template                       bool
	repeat                         uint
	interval                       value.Duration

	set *pflag.FlagSet
}

// Add gives cmd the options.
func (f *Flags) Add(cmd *cobra.Command) {
	f.set = cmd.Flags()
	f.set.StringVarP(&f.topic, "topic", "t", "", "`TOPIC`, in place of the argument")
	f.set.StringVarP(&f.text, "message", "m", "", "`PAYLOAD`, in place of the argument")
	f.set.StringVarP(&f.file, "file", "f", "", "take the payload from a `FILE`")
	f.set.BoolVarP(&f.stdin, "stdin", "s", false, "take the payload from standard input")
	f.set.BoolVarP(&f.lines, "lines", "l", false, "take each line of standard input for a payload")
	f.set.BoolVar(&f.records, "json-lines", false, "take each line of standard input for a message in JSON, as mqtt sub --json prints it")
	f.set.BoolVarP(&f.nothing, "null", "n", false, "send an empty payload; with --retain that removes the retained message")
	f.set.BoolVar(&f.template, "fill", false, "topic and payload are templates of Go: {{.N}}, {{.Line}}, {{.Time.Unix}}, {{random 1 6}}")
	f.set.UintVar(&f.repeat, "repeat", 1, "send the message `N` times")
	f.set.Var(&f.interval, "interval", "wait between messages")
	cmd.MarkFlagsMutuallyExclusive("message", "file", "stdin", "lines", "json-lines", "null")
	cmd.MarkFlagsMutuallyExclusive("lines", "repeat")
	cmd.MarkFlagsMutuallyExclusive("json-lines", "repeat")
	cmd.MarkFlagsMutuallyExclusive("json-lines", "fill")
	f.set.SetNormalizeFunc(synonyms(f.set.GetNormalizeFunc()))
}

// synonyms adds the names that mosquitto_pub has for options.
func synonyms(others func(*pflag.FlagSet, string) pflag.NormalizedName) func(*pflag.FlagSet, string) pflag.NormalizedName {
	return func(set *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "stdin-file":
			return "stdin"
		case "stdin-line":
			return "lines"
		case "null-message":
			return "null"
		case "repeat-delay":
			return "interval"
		}
		return others(set, name)
	}
}

// Take takes topic and message from the arguments.
func (f *Flags) Take(args []string) error {
	if len(args) > 0 && !f.set.Changed("topic") {
		f.topic, args = args[0], args[1:]
	}
	if len(args) > 0 && !f.hasSource() {
		f.text, args = args[0], args[1:]
		return f.check(args, true)
	}
	return f.check(args, f.hasSource())
}

func (f *Flags) check(rest []string, source bool) error {
	switch {
	case len(rest) > 0:
		return exit.Usagef("too many arguments: quote a message that has spaces, and write a server as a URL such as mqtt://host")
	case f.topic == "" && !f.records:
		return exit.Usagef("give a topic")
	case !source:
		return exit.Usagef("give a message, or one of --file, --stdin, --lines, --json-lines and --null")
	case f.repeat == 0:
		return exit.Usagef("--repeat must be at least 1")
	}
	return nil
}

// hasSource reports whether an option says where the payload comes from.
func (f *Flags) hasSource() bool {
	return f.set.Changed("message") || f.set.Changed("file") || f.stdin || f.lines || f.records || f.nothing
}
