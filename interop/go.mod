module github.com/seed65a45251/mqtt/interop

go 1.26.0

replace github.com/seed65a45251/mqtt => ../

replace github.com/seed65a45251/mqtt/contrib/eventpayload => ../contrib/eventpayload

require (
	github.com/256dpi/gomqtt v0.14.4
	github.com/at-wat/mqtt-go v0.19.4
	github.com/cloudevents/sdk-go/v2 v2.16.2
	github.com/eclipse/paho.golang v0.23.0
	github.com/eclipse/paho.mqtt.golang v1.5.1
	github.com/seed65a45251/mqtt v0.0.0-00010101000000-000000000000
	github.com/seed65a45251/mqtt/contrib/eventpayload v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	golang.org/x/sync v0.24.0
)

require (
	github.com/256dpi/mercury v0.2.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/jpillora/backoff v0.0.0-20170918002102-8eab2debe79d // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	gopkg.in/tomb.v2 v2.0.0-20161208151619-d5d1b5820637 // indirect
)
