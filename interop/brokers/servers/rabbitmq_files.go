package servers

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
)

// writeRabbitFiles writes the configuration, the list of plugins, and the users.
func writeRabbitFiles(s *Server) error {
	files := map[string]string{
		"plugins":       "[rabbitmq_mqtt,rabbitmq_web_mqtt].\n",
		"rabbitmq.conf": rabbitConfig(s),
	}
	definitions, err := json.Marshal(rabbitDefinitions(s.opts))
	if err != nil {
		return err
	}
	files["definitions.json"] = string(definitions)
	for name, content := range files {
		if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, dir := range []string{"mnesia", "logs"} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func rabbitConfig(s *Server) string {
	var conf strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&conf, format+"\n", args...) }
	line("listeners.tcp = none") // no AMQP
	line("load_definitions = %s", s.path("definitions.json"))
	line("mqtt.listeners.tcp.1 = %s", s.addr(s.ports.TCP))
	line("mqtt.allow_anonymous = %t", s.opts.Users == nil)
	if s.opts.TLS {
		line("mqtt.listeners.ssl.1 = %s", s.addr(s.ports.TLS))
		line("ssl_options.cacertfile = %s", s.path("ca.crt"))
		line("ssl_options.certfile = %s", s.path("server.crt"))
		line("ssl_options.keyfile = %s", s.path("server.key"))
	} else {
		line("mqtt.listeners.ssl = none")
	}
	// Its listener cannot be switched off. Port 0 is any free one.
	line("web_mqtt.tcp.ip = 127.0.0.1")
	line("web_mqtt.tcp.port = %d", s.ports.WebSocket)
	if n := s.opts.MaximumPacketSize; n != 0 {
		line("max_message_size = %d", n)
	}
	if n := s.opts.ReceiveMaximum; n != 0 {
		line("mqtt.prefetch = %d", n)
	}
	return conf.String()
}

// rabbitUser is the one of clients without a name.
const rabbitUser = "guest"

// rabbitDefinitions are users, what they may do, and how many may be connected. Topics
// are routing keys, whose levels are separated by dots.
func rabbitDefinitions(o Options) map[string]any {
	users := map[string]string{rabbitUser: rabbitUser}
	maps.Copy(users, o.Users)
	var accounts, permissions, topics []any
	for name, password := range users {
		accounts = append(accounts, map[string]any{
			"name": name, "password_hash": rabbitHash(password), "tags": "",
			"hashing_algorithm": "rabbit_password_hashing_sha256",
		})
		permissions = append(permissions, map[string]any{
			"user": name, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*",
		})
		topics = append(topics, map[string]any{
			"user": name, "vhost": "/", "exchange": "amq.topic",
			"write": allBut(o.NoPublish), "read": allBut(o.NoSubscribe),
		})
	}
	all := map[string]any{
		"vhosts": []any{map[string]any{"name": "/"}},
		"users":  accounts, "permissions": permissions, "topic_permissions": topics,
	}
	if n := o.Connections; n != 0 {
		all["parameters"] = []any{map[string]any{
			"component": "vhost-limits", "name": "limits", "vhost": "/",
			"value": map[string]any{"max-connections": n},
		}}
	}
	return all
}

// allBut is a regular expression for every routing key but that of a topic or filter.
func allBut(filter string) string {
	if filter == "" {
		return ".*"
	}
	key := strings.NewReplacer("/", ".", "+", "*").Replace(filter)
	return "^(?!" + regexp.QuoteMeta(key) + "$)"
}

// rabbitHash is a salt and the SHA-256 of salt and password. Passwords of tests need no
// salt that differs.
func rabbitHash(password string) string {
	salt := []byte("salt")
	sum := sha256.Sum256(append(salt, password...))
	return base64.StdEncoding.EncodeToString(append(salt, sum[:]...))
}
