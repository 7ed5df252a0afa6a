// Package target turns the connection options of a command, from flags, the environment
// and the file of profiles, into the URL of a server and an mqtt.Config.
package target

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// Group is the annotation of flags that are about the connection. Help lists them behind
// those of the command.
const Group = "mqtt_connection"

// Flags are the connection options of one command.
type Flags struct {
	cmd *cobra.Command
	set *pflag.FlagSet

	profile, profiles string
	servers           []string
	host              string
	port              uint16
	useTLS            bool

	version                  value.Version
	clientID                 string
	resume                   bool
	sessionExpiry, keepAlive value.Optional
	connectTimeout           value.Duration
	retry                    bool
	properties               value.UserProperties
	receiveMaximum, inflight uint16
	maximumPacket            uint32
	logging                  int
	quiet                    bool
	username, password       string
	passwordFile             string
	passwordCommand          string
	askPassword              bool
	ca, cert, key            string
	serverName               string
	insecure                 bool
	alpn, headers            []string
	proxy, localAddr         string
	will                     message.Flags
	willTopic                string
	willPayload              value.Data
	willDelay                value.Duration
}

// Add gives cmd the connection options.
func Add(cmd *cobra.Command) *Flags {
	f := &Flags{cmd: cmd, set: pflag.NewFlagSet("connection", pflag.ContinueOnError)}
	f.set.SortFlags = false
	f.addServer()
	f.addSession()
	f.addCredentials()
	f.addTransport()
	f.addWill()
	f.set.VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations == nil {
			flag.Annotations = map[string][]string{}
		}
		flag.Annotations[Group] = nil
	})
	cmd.Flags().SetNormalizeFunc(normalize)
	cmd.Flags().AddFlagSet(f.set)
	_ = cmd.RegisterFlagCompletionFunc("profile", f.completeProfiles)
	return f
}

func (f *Flags) addServer() {
	f.set.StringArrayVarP(&f.servers, "server", "L", nil, "`URL` of the server; further ones stand in for the first")
	f.set.StringVarP(&f.host, "host", "h", "", "`HOST` of the server, in place of a URL")
	f.set.Uint16VarP(&f.port, "port", "p", 0, "its `PORT`; 8883 means TLS (default 1883, or 8883 with TLS)")
	f.set.BoolVar(&f.useTLS, "tls", false, "use TLS to --host")
	f.set.StringVar(&f.profile, "profile", "", "use the connection options of the profile `NAME`")
	f.set.StringVar(&f.profiles, "profiles", "", "`FILE` of profiles (default "+shownProfilesPath()+")")
}

func (f *Flags) addSession() {
	f.set.VarP(&f.version, "mqtt-version", "V", "version of MQTT")
	f.set.StringVarP(&f.clientID, "client-id", "i", "", "client `ID` (default: made by this program)")
	f.set.BoolVarP(&f.resume, "resume", "c", false, "continue the session of --client-id, and leave it at the end")
	f.set.VarP(&f.sessionExpiry, "session-expiry", "x", "how long the server keeps the session without a connection (5.0; default 24h with --resume)")
	f.set.VarP(&f.keepAlive, "keep-alive", "k", "longest silence on the connection; 0 switches keep-alive off (default 1m)")
	f.set.Var(&f.connectTimeout, "connect-timeout", "how long one attempt to connect may take (default 15s)")
	f.set.BoolVar(&f.retry, "retry", false, "go on trying when the first connection fails")
	f.set.Var(&f.properties, "connect-property", "user property of CONNECT, any number of times (5.0)")
	f.set.Uint16Var(&f.receiveMaximum, "receive-maximum", 0, "number `N` of messages that the server may send without an acknowledgement (default 1024)")
	f.set.Uint16VarP(&f.inflight, "inflight", "M", 0, "number `N` of messages that may be sent without an acknowledgement (default 1024, before 5.0 20)")
	f.set.Uint32Var(&f.maximumPacket, "max-packet-size", 0, "largest packet accepted, in `BYTES` (default 256 MiB)")
	f.set.BoolVar(&f.quiet, "quiet", false, "say nothing on standard error but why the command failed")
	f.set.CountVarP(&f.logging, "debug", "d", "log what happens to the connection; twice: every packet, without payloads")
}

func (f *Flags) addCredentials() {
	f.set.StringVarP(&f.username, "username", "u", "", "user `NAME`")
	f.set.StringVarP(&f.password, "password", "P", "", "`PASSWORD`; other users of this machine can see it in the list of processes")
	f.set.StringVar(&f.passwordFile, "password-file", "", "`FILE` with the password, without its last line end")
	f.set.StringVar(&f.passwordCommand, "password-command", "", "shell `COMMAND` that prints the password, run for each connection")
	f.set.BoolVar(&f.askPassword, "ask-password", false, "ask for the password on the terminal")
}

func (f *Flags) addTransport() {
	f.set.StringVar(&f.ca, "ca", "", "`FILE` with the certificates of authorities to trust (PEM)")
	f.set.StringVar(&f.cert, "cert", "", "`FILE` with the client's certificate (PEM)")
	f.set.StringVar(&f.key, "key", "", "`FILE` with the key of --cert (PEM; default: the file of --cert)")
	f.set.StringVar(&f.serverName, "server-name", "", "`NAME` to expect in the server's certificate (default: the host)")
	f.set.BoolVar(&f.insecure, "insecure", false, "accept any certificate: the connection can be intercepted")
	f.set.StringArrayVar(&f.alpn, "alpn", nil, "application `PROTOCOL` to offer with TLS, any number of times")
	f.set.StringArrayVar(&f.headers, "header", nil, "`HEADER` "+`"NAME: VALUE" of a WebSocket request, any number of times`)
	f.set.StringVar(&f.proxy, "proxy", "", "`URL` of an http, https or socks5 proxy, or environment for HTTPS_PROXY and so on")
	f.set.StringVarP(&f.localAddr, "local-address", "A", "", "`ADDRESS` to connect from")
}

func (f *Flags) addWill() {
	f.set.StringVar(&f.willTopic, "will-topic", "", "`TOPIC` of the will, which the server publishes when this program ends without DISCONNECT")
	f.set.Var(&f.willPayload, "will-payload", "payload of the will: text, hex:… or base64:…")
	f.set.Var(&f.willDelay, "will-delay", "how long the server waits before it publishes the will (5.0)")
	f.will.AddDelivery(f.set, "will-", "", "")
	f.will.Add(f.set, "will-")
}

// synonyms are names that users of other programs know.
var synonyms = map[string]string{
	"url": "server", "id": "client-id", "pw": "password", "cafile": "ca", "keepalive": "keep-alive",
	"tls-alpn": "alpn", "protocol-version": "mqtt-version", "disable-clean-session": "resume",
}

func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if known, ok := synonyms[name]; ok {
		name = known
	}
	return pflag.NormalizedName(name)
}

// TakeURL returns args without a URL of a server at their beginning. The URL counts like
// --server.
func (f *Flags) TakeURL(args []string) (rest []string) {
	if len(args) == 0 || !IsURL(args[0]) {
		return args
	}
	// The value of a list that was set is extended.
	_ = f.set.Set("server", args[0])
	return args[1:]
}

// IsURL reports whether s begins like the URL of a server. Topics do not.
func IsURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return false
	}
	switch scheme {
	case "mqtt", "tcp", "mqtts", "tls", "ssl", "ws", "wss", "unix", "mqtt+unix", "mqtts+unix",
		"ws+unix", "wss+unix", "mqtt+srv", "mqtts+srv":
		return true
	}
	return false
}

// environmentName returns the variable that stands for a flag.
func environmentName(flag string) string {
	return "MQTT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment returns the values of a flag in the environment, one a line.
func environment(flag string) (values []string, ok bool) {
	v, ok := os.LookupEnv(environmentName(flag))
	if !ok || v == "" {
		return nil, false
	}
	return strings.Split(v, "\n"), true
}
