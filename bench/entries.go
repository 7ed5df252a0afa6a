package main

import (
	"slices"

	gomqtt "github.com/256dpi/gomqtt/client"
)

// clients returns everything that can be measured, in the order of a round.
func clients() []entry {
	simple := []kind{publishing0, blocking, sequential, receiving, dispatching, loaded, idling}
	full := append([]kind{async}, simple...)
	oneCallback := []kind{publishing0, async, blocking, sequential, receiving, loaded, idling}
	dispatch := []kind{dispatching}
	defaults := openGomqtt(func(*gomqtt.Config) {})
	undelayed := openGomqtt(func(c *gomqtt.Config) { c.MaxWriteDelay = 0 })
	asyncOnly := []kind{async}
	comeback := []kind{returning}
	store := []kind{durable}
	list := slices.Concat(rawClients(), sketchClients(), ourClients())
	list = append(list,
		entry{name: "paho.mqtt.golang", role: peer, kinds: full, open: openPaho},
		entry{name: "paho.golang", role: peer, kinds: simple, open: openAutopaho},
		entry{name: "paho.golang", role: peer, kinds: asyncOnly, open: openPahoAsync},
		entry{name: "at-wat", role: peer, kinds: simple, open: openAtwat},
		entry{name: "gomqtt", role: peer, kinds: oneCallback, open: defaults},
		entry{name: "gomqtt", role: unrouted, kinds: dispatch, open: defaults},
		entry{name: "gomqtt-0", role: peer, kinds: oneCallback, open: undelayed},
		entry{name: "gomqtt-0", role: unrouted, kinds: dispatch, open: undelayed},
		entry{name: "paho.golang", role: peer, kinds: store, stores: true, open: openAutopahoQueue},
		entry{name: "paho.golang-nostore", role: unstored, kinds: store, open: openAutopahoQueue},
		entry{name: "paho.mqtt.golang", role: peer, kinds: comeback, open: openReturningPaho},
		entry{name: "paho.golang", role: peer, kinds: comeback, open: openReturningAutopaho},
		entry{name: "at-wat", role: peer, kinds: comeback, open: openReturningAtwat},
		entry{name: "gomqtt", role: peer, kinds: comeback, open: openReturningGomqtt},
	)
	return append(list, externalClients()...)
}

// libraries are the modules behind the clients, for the list of versions.
var libraries = map[string]bool{
	"github.com/eclipse/paho.mqtt.golang": true,
	"github.com/eclipse/paho.golang":      true,
	"github.com/at-wat/mqtt-go":           true,
	"github.com/256dpi/gomqtt":            true,
	"github.com/coder/websocket":          true,
}
