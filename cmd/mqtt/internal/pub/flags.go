package pub

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/source"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// flags are the options of the command, those of the connection aside.
type flags struct {
	source  source.Flags
	message message.Flags
	aliases uint16
	store   string
	timeout value.Duration
	verbose bool

	set *pflag.FlagSet
}

func (f *flags) add(cmd *cobra.Command) {
	f.set = cmd.Flags()
	f.source.Add(cmd)
	f.message.AddDelivery(f.set, "", "q", "r")
	f.message.Add(f.set, "")
	f.set.Uint16Var(&f.aliases, "topic-aliases", 0, "number `N` of topics for which to send aliases (5.0)")
	f.set.VarP(&f.timeout, "timeout", "W", "give up after that time, with exit code 4")
	f.set.StringVar(&f.store, "store", "", "keep messages in a `FILE` until the server has them, also for the next run; needs --client-id")
	f.set.BoolVarP(&f.verbose, "verbose", "v", false, "print topic and reason code of each acknowledgement")
}
