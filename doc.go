// Package mqtt is a client for MQTT 3.1, 3.1.1 and 5.0. A call returns when the
// server has answered, and a context cancels it. Messages arrive on a channel. The
// client reconnects by itself, subscribes again and repeats what the server has not
// acknowledged.
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", mqtt.Config{})
//	defer client.Close()
//
//	err = client.Publish(ctx, "sensors/7/temp", []byte("21.5"), mqtt.ExactlyOnce)
//
//	sub, err := client.Subscribe(ctx, "sensors/+/temp", mqtt.AtLeastOnce)
//	for msg := range sub.Stream(ctx) { … }
//	err = sub.Err() // nil if ctx ended the loop
//
// # Which call
//
//   - A loop or a select over a channel: [Subscription.Stream], which ends with its
//     context; [Subscription.Messages], which ends with the Subscription only.
//   - One message, with a deadline: [Subscription.Next].
//   - A loop that acknowledges each message after its body: [Subscription.All].
//   - A function that acknowledges by returning nil, several at once if asked:
//     [Subscription.Handle]; [Client.Handle] also subscribes and unsubscribes.
//   - A function for several messages at a time, to write them into a database for
//     example: [Subscription.HandleBatches].
//   - To refuse a message, with a reason: [Message.Refuse], or a [Refusal] that the
//     function returns. To try again, and then publish it as a dead letter:
//     [FailurePolicy].
//   - One function for each kind of topic, devices/{id}/up for example: [NewMux].
//   - To connect: [Connect] returns when there is a connection, [Start] at once.
//   - To publish: [Client.Publish] returns when the server has the message,
//     [Client.PublishAsync] at once; [Client.Flush] waits for all.
//
// Workers share the messages of a filter $share/group/filter. A worker that ends with
// Drain and then Disconnect leaves its share to the others; see
// SubscribeOptions.KeepShared.
//
// # What is guaranteed
//
// A QoS 1 or 2 message that was accepted reaches the server at least once, or its error
// says why not. Messages of one goroutine reach the server in the order in which it
// published them, however often the connection breaks.
//
// QoS 2 is exactly once while the session is proven: the server has the session, and
// has received in it everything that the client remembers. Otherwise the client
// publishes again what was not acknowledged. Nothing is lost, but a message may arrive
// twice, and Watch reports it. Config.FailOnSessionLoss prefers an error.
//
// With Config.Store, what was accepted survives the end of the process.
// docs/guarantees.md says of each message and call how it ends, whatever happens to it.
//
// # Sessions, clean start
//
// A client starts clean (CleanStart, CleanSession) and on 5.0 resumes its session on
// every reconnect. Config.Resume asks for the session that an earlier process left under
// the same ClientID, and leaves it at the end, for Config.SessionExpiry. Before 5.0 the
// session ends with the connection unless Resume is set.
//
// # Slow consumers
//
// A slow consumer stops no publish, no keep-alive, no QoS 0 message of another
// Subscription and no Close. What waits for it is bounded: beyond the limits QoS 0
// messages are dropped, and QoS 1 and 2 messages stay with the server.
//
// MQTT demands acknowledgements in order, so a QoS 1 or 2 message that a consumer holds
// holds up those of all later messages on its connection. When Config.ReceiveMaximum of
// them wait, the server sends no further ones. Watch names the Subscription, and
// SubscribeOptions.OwnConnection avoids it.
//
// # Concurrency, panics
//
// All methods are safe for concurrent use and may be called from anywhere, also from
// inside a loop over messages. After Close every call that waited has returned, and no
// goroutine of the client is left.
//
// The library recovers no panic of the program's functions. Those that run in the
// goroutine of a caller are Handle without Concurrency, Subscribed, the loop over All,
// and the hooks of these and of a blocking call. There the caller may recover: no lock is held, no
// goroutine is left behind, and a message that was being handled counts as unfinished.
// In any other goroutine a panic ends the program.
//
// # Errors
//
// [NotSent] reports whether the request certainly has not reached the server. What the
// server said is a [*ServerError]. A request beyond a limit of the server is a
// [*LimitError]. Both unwrap to a [ReasonCode], so that errors.Is(err,
// mqtt.NotAuthorized) works. A request that can never work matches [ErrInvalid]; a
// field that the version of the connection does not have is a *wire.FieldError.
// docs/errors.md has the errors of each method.
//
// # More
//
// The repository has guides: ordering, handlers, testing, TLS, cloud brokers, tuning,
// difficult networks, scaling, observing, troubleshooting, and how to come from other
// libraries. They begin with docs/README.md.
package mqtt
