// Package conversation has the functions with which the tests of the client talk to a
// scripted server (mqtttest.Server): connect, publish and subscribe while the server
// answers, the packets of both sides, and calls that run beside the script. World is a
// network of several servers, and WebServer speaks WebSocket frame by frame.
//
//	srv := mqtttest.NewServer(t, wire.V5)
//	client, conn := Open(t, srv, Quiet(srv))
//	call := Publish(t, client, "x", 1)
//	conn.Want(Pub(1, 1, "x"))
//	conn.Send(Puback(1))
//	require.NoError(t, call.Wait())
//
// Tests import it with a dot, so that a test reads as a conversation. Only tests may
// import it.
//
// Most tests run in a bubble of fake time (testing/synctest), in which a goroutine
// that the client leaves behind fails the test. Over, Settled and Seen wait until
// everything else in the bubble waits, so they work only there.
package conversation
