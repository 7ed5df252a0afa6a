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
// has received in it everything that the client remembers. A session is not proven when
// the server has lost it, when another server has taken over, or when the process has
// restarted with Config.Resume. Then the client subscribes again and publishes again
// what was not acknowledged. Nothing is lost, but a message may arrive twice, also at
// QoS 2. Watch reports when that may have happened, and docs/continuity.md has every
// case. Config.FailOnSessionLoss is for programs that prefer an error.
//
// A slow consumer stops no publish, no QoS 0 message of another Subscription and no
// Close. The goroutine that reads from the network waits for a consumer in two cases
// only: under the Block policy, and for about a second when QoS 1 and 2 messages fill
// the buffer of a Subscription (ten seconds where the session ends with the connection;
// see SubscribeOptions.BufferBytes). The messages that wait for consumers are bounded:
// beyond the limits QoS 0 messages are dropped, and QoS 1 and 2 messages stay with the
// server.
//
// MQTT demands acknowledgements in order. A QoS 1 or 2 message that a consumer holds
// therefore holds up the acknowledgements of all later messages on its connection,
// whichever Subscription they belong to. When Config.ReceiveMaximum of them wait, the
// server sends no further QoS 1 and 2 messages. Watch names the Subscription after
// Config.StallAfter; Subscription.Held and Stats count the messages held. Two options
// avoid it: SubscribeOptions.OwnConnection gives a consumer a connection of its own,
// and Config.AcknowledgeOutOfOrder is for servers that accept acknowledgements out of
// order.
//
// All methods are safe for concurrent use and may be called from anywhere, also from
// inside a loop over messages. After Close every call that waited has returned, and no
// goroutine of the client is left.
//
// # Panics
//
// The library recovers no panic of the program's functions: those given to Handle and
// Respond; Subscribed, Attempt, Redirect, Permanent, Undelivered and Dial; an
// Authenticator; hooks; the handler of a Logger. Some of them run in the goroutine of a
// caller: Handle without Concurrency, Subscribed, the loop over All, the hooks of a
// blocking call. There the caller may recover. Then no lock is held, no goroutine is
// left behind, and a message that was being handled counts as unfinished. In any other
// goroutine a panic ends the program.
//
// # Servers
//
// Mosquitto 2.0 does three things that a program should know. It keeps a 5.0 session
// over its own restart only if the session was opened without a clean start, that is
// with Config.Resume. Before 5.0 it loses QoS 2 messages over a reconnect when more
// than its max_inflight_messages are in flight (see Config.Inflight). When a connection
// breaks while it repeats PUBRELs, it delivers those messages again.
//
// # Errors
//
// [NotSent] reports whether the request certainly has not reached the server. What the
// server said is a [*ServerError]. A request beyond a limit of the server is a
// [*LimitError]. Both unwrap to a [ReasonCode], so that errors.Is(err,
// mqtt.NotAuthorized) works. A request that can never work matches [ErrInvalid]; a
// field that the version of the connection does not have is a *wire.FieldError. In the
// table ErrClosed stands for the error that ended the client, which [Client.Err]
// returns.
//
//	method                 error                                  NotSent
//	Connect                *ServerError, *HTTPError: refused;     n/a
//	                       network errors; context ended;
//	                       ErrInvalid: URL or Config
//	Start                  ErrInvalid: URL or Config              n/a
//	WaitConnected          context ended, with why the last       false
//	                       attempt failed; ErrClosed
//	Reconnect              context ended, what ended the client   true if nothing was done
//	Publish, Publish-      ErrInvalid, *wire.FieldError           true
//	Message                *LimitError                            true unless repeated on a new connection
//	                       ErrExpired in the queue                true unless repeated on a new connection
//	                       context ended, not sent yet (queue     true
//	                       full: ErrQueueFull as well)
//	                       context ended, sent: goes on           false
//	                       ErrQueueFull by Config.WhenFull        true
//	                       ErrNotConnected, ErrQueueFull by       true
//	                       Message.NotQueued
//	                       *ServerError: refused                  false
//	                       ErrUndeliverable; ErrConnectionLost    false
//	                       in a large QoS 0 payload
//	                       ErrStore: Config.Store has not taken   true unless the Store cannot tell
//	                       the message
//	                       ErrClosed                              true if not sent yet, and not
//	                                                              in Config.Store
//	PublishAsync           ErrInvalid; ErrQueueFull: full until   true
//	                       ctx ended, or as above; ErrClosed;
//	                       ErrNotConnected by Message.NotQueued;
//	                       ErrStore as Publish
//	Delivery.Wait          as Publish; context ended: goes on     as Publish; false
//	Subscribe,             ErrInvalid, *wire.FieldError           true
//	SubscribeWith          *LimitError                            true unless sent on an earlier connection
//	                       *ServerError: a filter was refused     false
//	                       ErrUndeliverable                       false
//	                       context ended, ErrClosed               true if not sent yet
//	Handle                 as Subscribe; context ended, what the  as Subscribe; false
//	                       function returned, or what ended the
//	                       Subscription (ErrUnsubscribed as well)
//	Route                  ErrInvalid, ErrClosed                  true
//	Unsubscribe, -With     ErrInvalid                             true
//	                       *LimitError                            true unless sent on an earlier connection
//	                       *ServerError                           false
//	                       context ended: goes on                 false
//	                       ErrClosed                              true if not sent yet
//	Drain                  as Unsubscribe; context ended, or      as Unsubscribe; false
//	                       what ended the Subscription first
//	Request                as Publish and Subscribe; *Response-   true if the request was not sent
//	                       Error: the responder failed
//	Respond, RespondWith   as Subscribe; context ended, or what   as Subscribe; false
//	                       ended the Subscription first
//	Ping                   ErrNotConnected, ErrClosed             true
//	                       context ended, ErrConnectionLost,      false
//	                       ErrClosed
//	Reauthenticate         ErrInvalid, ErrNotConnected, ErrClosed true
//	                       ErrAuthenticator, *ServerError: the    false once it began
//	                       connection ended with it; Err-
//	                       ConnectionLost, ErrClosed
//	PublishOnce            as Connect; as Publish, for each       true if none was sent
//	                       message
//	ReceiveOnce            as Connect, Subscribe and Next         n/a
//	Flush                  context ended, ErrClosed;              false
//	                       ErrConnectionLost: QoS 0 messages
//	                       were not written
//	Disconnect,            *UnfinishedError: what was left;       false
//	DisconnectWith         ErrConnectionLost as above
//	Disconnect, -With      ErrInvalid: nothing was done           true
//	Message.Ack            ErrStale: the session is gone          n/a
//	Message.Refuse         ErrStale: the session is gone, or it   n/a
//	                       was acknowledged
//	Message.Refuse         ErrInvalid: the code is no failure     true
//	Next, All              context ended, ErrClosed, what ended   n/a
//	                       the Subscription
package mqtt
