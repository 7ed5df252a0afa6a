// Package mqtttest is for tests of programs that use MQTT. It has a real broker behind
// a network that fails on demand, and a scripted server for tests of single packets.
//
//	b := mqtttest.NewBroker(t)
//	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{Dial: b.Dial})
//	// the client works
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
// Every packet is decoded and recorded on its way, in both directions. If the test
// fails, the timeline is printed: the sender, time and content of each packet, what the
// test did to it, and what never arrived. The broker's log goes to the test's output.
// Neither contains passwords.
//
// # Which client
//
// This package does not use package mqtt: it can test any client of MQTT 3.1, 3.1.1
// or 5.0.
//
// A packet is passed on when all of it is there. Half a packet is passed on when its
// connection ends. Methods whose names begin with Want report to the test and must be
// called from the test's goroutine; all others may be called from any.
package mqtttest
