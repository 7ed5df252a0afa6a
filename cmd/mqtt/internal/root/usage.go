package root

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// usageTemplate is that of cobra, except that the options of the connection, which are
// the same for all commands, come last under a heading of their own.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{with ownFlags .}}

Options:
{{.}}{{end}}{{with connectionFlags .}}

Connection (also from the environment and from profiles, see mqtt help connection):
{{.}}{{end}}{{if .HasHelpSubCommands}}

Topics (mqtt help TOPIC):{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" says more about a command.{{end}}
`

func init() {
	cobra.AddTemplateFunc("ownFlags", func(c *cobra.Command) string { return usages(c, false) })
	cobra.AddTemplateFunc("connectionFlags", func(c *cobra.Command) string { return usages(c, true) })
}

// usages lists the flags of c that are about the connection, or all others.
func usages(c *cobra.Command, connection bool) string {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	add := func(f *pflag.Flag) {
		if _, ok := f.Annotations[target.Group]; ok != connection {
			return
		}
		if f.Value.Type() == "count" {
			shown := *f
			shown.Usage = "``" + f.Usage // it takes no value, and none is shown
			f = &shown
		}
		set.AddFlag(f)
	}
	c.LocalFlags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	width := output.New(c.OutOrStdout(), nil).Width()
	return strings.TrimRight(set.FlagUsagesWrapped(width), "\n")
}
