package root

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command",
		Example: `  mqtt man /usr/local/share/man/man1
  mqtt man . && man ./mqtt-pub.1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same program writes the same pages
			keepIndented(root)
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "mqtt", Manual: "MQTT on the command line"}, args[0]); err != nil {
				return fmt.Errorf("manual pages: %w", err)
			}
			return nil
		},
	}
}

// keepIndented indents examples within descriptions as Markdown wants it, from which the
// pages are made: otherwise their lines would be joined.
func keepIndented(c *cobra.Command) {
	c.Long = strings.ReplaceAll(c.Long, "\n  ", "\n    ")
	for _, below := range c.Commands() {
		keepIndented(below)
	}
}
