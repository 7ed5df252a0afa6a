// Package mqtttest is for tests of programs that use MQTT: a real broker behind
// a network that breaks on demand, and a scripted server for tests at the level
// of packets.
//
//	b := mqtttest.NewBroker(t)
//	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{Dial: b.Dial})
//	…
//	b.Drop()                                    // every connection breaks
//	b.Swallow(mqtttest.Match{Type: wire.TypePuback})  // one acknowledgement gets lost
//	b.WantPublished("sensors/7/temp", "21.5")
//	b.WantNoLeak()
//
// # Time
//
// Connections made by Dial stay in memory, so a test can run in a
// testing/synctest bubble, where minutes of keep-alive and back-off take no time
// and nothing depends on the speed of the machine. For programs that can only be
// given an address, URL opens a port on the loopback interface. Both may be used
// side by side, outside a bubble.
//
// # What a failing test shows
//
// Every packet goes through package wire on its way, in both directions, is
// recorded, and printed when the test has failed: who sent what when, what the
// test did to it, and what never arrived. The broker's log goes to the test's
// output. Passwords are in neither.
//
// # Which client
//
// This package does not use package mqtt: any client of MQTT 3.1, 3.1.1 or 5.0
// can be tested with it.
//
// A packet is passed on when all of it is there. The end of half a packet is
// passed on when the connection ends. Methods that report to the test, as their
// names with Want say, belong to the test's goroutine; all others may be called
// from any.
package mqtttest
