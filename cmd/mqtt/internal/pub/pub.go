// Package pub is "mqtt pub", which publishes messages.
package pub

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// Command returns the command.
func Command() *cobra.Command {
	var flags message.Flags
	cmd := &cobra.Command{
		Use:   "pub [URL] TOPIC MESSAGE",
		Short: "Publish messages",
		Args:  cobra.RangeArgs(2, 3),
	}
	connection := target.Add(cmd)
	flags.AddDelivery(cmd.Flags(), "", "q", "r")
	flags.Add(cmd.Flags(), "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		args = connection.TakeURL(args)
		if len(args) != 2 {
			return exit.Usagef("give a topic and a message")
		}
		t, err := connection.Target(cmd.Context())
		if err != nil {
			return err
		}
		client, err := t.Connect(cmd.Context())
		if err != nil {
			return err
		}
		m := flags.Message()
		m.Topic, m.Payload = args[0], []byte(args[1])
		return errors.Join(client.PublishMessage(cmd.Context(), &m), client.Disconnect(cmd.Context()))
	}
	return cmd
}
