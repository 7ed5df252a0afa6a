// Package conversation has the words in which the tests of the client speak with
// a scripted server (mqtttest.Server): connect, publish and subscribe while the
// server answers, the packets of both sides, and calls that run beside the script. World
// is a network of several servers, and WebServer speaks WebSocket frame by frame.
//
//	srv := mqtttest.NewServer(t, wire.V5)
//	client, conn := Open(t, srv, Quiet(srv))
//	call := Publish(t, client, "x", 1)
//	conn.Want(Pub(1, 1, "x"))
//	conn.Send(Puback(1))
//	require.NoError(t, call.Wait())
//
// Tests import it with a dot, so that a test reads as the conversation that it is.
// It is code of tests: no package of the module may import it.
//
// Most tests run in a bubble of fake time (testing/synctest). A goroutine that the
// client leaves behind fails such a test by itself. Over, Settled and Seen wait
// until everything else in the bubble waits, so they work only there.
package conversation
