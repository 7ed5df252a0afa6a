// Command mqtt publishes, subscribes, asks and answers on the command line. Its
// README.md says how it is used; "mqtt help COMMAND" teaches each command.
package main

import (
	"os"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/root"
)

func main() { os.Exit(root.Main()) }
