package broker

// long and examples are the help of the command.
const (
	long = `broker runs the broker of this library. Without options it serves the clients of this
machine on mqtt://localhost:1883, and nothing survives its end.

A configuration file in TOML has all settings; what is left out has a safe default. Paths
in it are relative to its folder:

  passwords = "passwords"            # lines of "mqtt broker password", or of htpasswd -B
  acl = "acl"                        # rules in the form of Mosquitto's acl_file
  anonymous = false                  # true: clients without a user name may connect
  store = "broker.db"                # sessions and retained messages survive
  shutdown = "10s"                   # how long clients may take at the end
  origins = ["app.example.com"]      # hosts whose web pages may connect

  [[listeners]]
  url = "mqtt://0.0.0.0:1883"        # mqtt, mqtts, ws, wss or unix
  [[listeners]]
  url = "mqtts://0.0.0.0:8883"

  [tls]
  certificate = "server.crt"
  key = "server.key"
  client_ca = "clients.crt"          # certificates of clients are checked
  require_client_certificate = true
  client_certificate_names = true    # their common name is the user name

  [health]
  listen = "localhost:9001"          # /livez, /readyz, /stats

  [log]
  level = "info"                     # debug, info, warn, error
  format = "text"                    # or json

  [limits]
  packet_size = "1MiB"
  memory = "1GiB"
  connections = 10000
  sessions = 100000
  session_expiry = "168h"
  keep_alive = "5m"
  receive_maximum = 1024
  topic_levels = 128
  subscriptions_per_client = 10000
  inflight = 1024
  queued_messages = 65536
  queued_bytes = "32MiB"
  retained_messages = 100000
  retained_bytes = "256MiB"

  [features]
  versions = ["5.0", "3.1.1"]
  maximum_qos = 2
  retained = true
  wildcards = true
  shared = true
  subscription_ids = true
  status_interval = "10s"            # of $SYS; negative: none

SIGHUP makes it read passwords, rules and certificates again. Rights that are gone end at
once. SIGTERM and SIGINT end it in order: it takes no new connections, and clients get what
waits for them. A second signal ends it at once. A service manager of systemd is told when
it is ready (Type=notify).`

	examples = `  # for the clients of this machine
  mqtt broker

  # for everybody, with passwords, and sessions that survive
  mqtt broker password alice >> passwords
  mqtt broker --listen mqtt://0.0.0.0:1883 --passwords passwords --store broker.db

  # whether a configuration is right
  mqtt broker --config broker.toml --check

  # read passwords, rules and certificates again
  kill -HUP "$(pidof mqtt)"`
)
