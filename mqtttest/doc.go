// Package mqtttest is for tests of programs that use MQTT. It has a real broker behind
// a network that breaks on demand, and a scripted server for tests at the level of
// packets.
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
// Connections made by Dial stay in memory, so a test can run in a testing/synctest
// bubble. Minutes of keep-alive and back-off take no time there, and nothing depends on
// the speed of the machine. For programs that need an address, URL opens a port on the
// loopback interface. Outside a bubble both may be used side by side.
//
// # What a failing test shows
//
// Every packet is decoded and recorded on its way, in both directions. When the test
// has failed, the timeline is printed: the sender, time and content of each packet, what
// the test did to it, and what never arrived. The broker's log goes to the test's
// output. Passwords are in neither.
//
// # Which client
//
// This package does not use package mqtt: any client of MQTT 3.1, 3.1.1 or 5.0
// can be tested with it.
//
// A packet is passed on when all of it is there. Half a packet is passed on when its
// connection ends. Methods whose names begin with Want report to the test and must be
// called from the test's goroutine; all others may be called from any.
package mqtttest
