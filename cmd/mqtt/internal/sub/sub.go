// Package sub is "mqtt sub", which prints the messages of topics.
package sub

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// Command returns the command.
func Command() *cobra.Command {
	var qos value.QoS
	cmd := &cobra.Command{
		Use:   "sub [URL] FILTER...",
		Short: "Print the messages of topics",
		Args:  cobra.MinimumNArgs(1),
	}
	connection := target.Add(cmd)
	cmd.Flags().VarP(&qos, "qos", "q", "quality of service")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var filters []mqtt.Filter
		for _, filter := range connection.TakeURL(args) {
			filters = append(filters, mqtt.Filter{Filter: filter, QoS: mqtt.QoS(qos)})
		}
		if filters == nil {
			return exit.Usagef("give at least one filter")
		}
		t, err := connection.Target(cmd.Context())
		if err != nil {
			return err
		}
		client, err := t.Connect(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		sub, err := client.SubscribeWith(cmd.Context(), mqtt.SubscribeOptions{Filters: filters})
		if err != nil {
			return err
		}
		for m, err := range sub.All(cmd.Context()) {
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", m.Payload); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
