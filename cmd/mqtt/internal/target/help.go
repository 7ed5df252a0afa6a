package target

import (
	"strings"

	"github.com/spf13/cobra"
)

// HelpCommand returns the topic "mqtt help connection".
func HelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "connection",
		Short: "How commands find a server: URLs, the environment, profiles, passwords",
		Long: strings.TrimSpace(`
A server is a URL, as the first argument or with --server:

  mqtt://host:1883          TCP            mqtts://host:8883         TLS
  ws://host/mqtt            WebSocket      wss://host/mqtt           both
  unix:///path              Unix socket    mqtt+srv://domain         servers named by DNS

or --host and --port, as in mosquitto_pub. Without any of them and without a default
profile it is mqtt://localhost:1883. Several --server stand in for one another.

Each option can come from four places. The first that has it counts:

  1. the command line,             --username alice
  2. the environment,              MQTT_USERNAME=alice (lists: one a line)
  3. the profile,                  username = "alice"
  4. the default.

The profiles are in ~/.config/mqtt/profiles.toml (or --profiles, MQTT_PROFILES). Their
keys are the names of the options:

  default = "home"

  [profile.home]
  server = "mqtt://192.168.1.2"

  [profile.work]
  server = ["mqtts://a.example.com", "mqtts://b.example.com"]
  username = "alice"
  password-command = "pass show mqtt/work"
  ca = "/etc/ssl/work.pem"

The default profile is used only where no server is given. With --profile, what the command
line or the environment has takes the place of what the profile says, the server too.

Other users of the machine can read the command line. A password that is there, with
--password or in the URL, is no secret. It can come from a file (--password-file), from a
command (--password-command, for each connection again, so that tokens may expire), from
the terminal (--ask-password) or from MQTT_PASSWORD. No password is ever printed or logged.
Credentials in the environment beside MQTT_SERVER or MQTT_HOST are for that server: another
one that the command line names does not get them.`),
	}
}
