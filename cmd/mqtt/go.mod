module github.com/seed65a45251/mqtt/cmd/mqtt

go 1.26.0

replace github.com/seed65a45251/mqtt => ../../

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/seed65a45251/mqtt v0.0.0-00010101000000-000000000000
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.10
	golang.org/x/sys v0.50.0
	golang.org/x/term v0.48.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)
