module github.com/seed65a45251/mqtt/examples/observed

go 1.26.0

replace github.com/seed65a45251/mqtt => ../../

replace github.com/seed65a45251/mqtt/contrib/otelmqtt => ../../contrib/otelmqtt

replace github.com/seed65a45251/mqtt/contrib/prommqtt => ../../contrib/prommqtt

require (
	github.com/prometheus/client_golang v1.25.0
	github.com/seed65a45251/mqtt v0.0.0-00010101000000-000000000000
	github.com/seed65a45251/mqtt/contrib/otelmqtt v0.0.0-00010101000000-000000000000
	github.com/seed65a45251/mqtt/contrib/prommqtt v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/sdk v1.47.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
