package broker

import (
	"fmt"
	"testing"

	"github.com/seed65a45251/mqtt/wire"
)

// TestDuplicateAtQoS0 is [MQTT-3.3.1-2], which 3.1 does not have.
func TestDuplicateAtQoS0(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			run(t, Config{}, func(t *testing.T, b *Broker) {
				other := clean(t, b, "other")
				other.subscribe(filter("t", wire.AtMostOnce))
				c, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
				raw, _ := message0("t", "x").Append(nil, v)
				raw[0] |= 8
				c.write(raw)
				if v == wire.V31 {
					other.want(message0("t", "x"))
					c.idle()
					return
				}
				if v == wire.V5 {
					c.ended(wire.ProtocolError)
				} else {
					c.closed()
				}
				other.idle()
			})
		})
	}
}
