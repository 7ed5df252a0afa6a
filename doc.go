// Package mqtt is a client for MQTT 3.1, 3.1.1 and 5.0 that is made of Go's
// own ideas: calls block until the server has answered and are cancelled by a
// context, messages arrive on a channel, and a broken connection is the
// library's business, not the caller's.
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
//	err = sub.Err() // nil if it was ctx that ended the loop
//
// # Which call
//
//   - A loop or a select over a channel: Subscription.Stream, which ends with its
//     context; Messages, which ends with the Subscription only.
//   - One message, with a deadline: Next.
//   - A loop that acknowledges each message when its body is done: All.
//   - A function that may fail, acknowledged when it returns nil, several at once if
//     asked: Subscription.Handle; Client.Handle subscribes and unsubscribes besides.
//   - To send: Publish returns when the server has the message, PublishAsync at once;
//     Flush waits for all.
//
// Workers share what comes on a filter $share/group/filter. Who leaves in order, by
// Drain and then Disconnect, leaves nothing behind that the others could have had;
// see SubscribeOptions.KeepShared.
//
// # What is guaranteed
//
// A QoS 1 or 2 message that was accepted reaches the server at least once, in the order
// in which one goroutine published them, however often the connection breaks, or its
// error says why not. QoS 2 is exactly once while the session is proven: the server has it, and it has seen all
// that the client remembers. Where it is not, because the server lost it, another
// server took over or a process came back with Config.Resume, the client subscribes
// again and publishes again what was not acknowledged: nothing is lost, but a message
// may then arrive twice, also at QoS 2. Watch tells when that has happened, and
// docs/continuity.md has every case. Config.FailOnSessionLoss is for those who prefer
// an error.
//
// A consumer that is slow, stuck or gone stops no publish, no QoS 0 message of another
// and no Close: the goroutine that reads from the network waits for it only under the
// Block policy and, for about a second, where QoS 1 and 2 messages fill the buffer of a
// Subscription (ten where the session ends with the connection; see
// SubscribeOptions.BufferBytes). What waits for consumers is bounded: QoS 0 messages are
// dropped, those of QoS 1 and 2 stay with the server.
//
// What it does hold up are the acknowledgements of QoS 1 and 2 messages that came
// after the one it holds, whoever wants them, because MQTT wants acknowledgements in
// order. When Config.ReceiveMaximum of them wait, the server sends nothing more at
// these QoS to anybody. Watch tells after Config.StallAfter, with the Subscription;
// Subscription.Held and Stats show what is held. The ways out: a connection of its own
// for a consumer that may be slow (SubscribeOptions.OwnConnection), or, with servers
// that take it, acknowledgements out of order (Config.AcknowledgeOutOfOrder).
//
// All methods may be called from anywhere, also from inside a loop over messages, and
// by any number of goroutines.
//
// After Close nothing of the client is left running, and every call that
// waited has returned.
//
// A panic in a function of the program is the program's, and the library recovers none:
// not in Handle and Respond, in Attempt, Redirect, Permanent and Dial, in an Authenticator,
// in hooks or in the handler of a Logger. Where it runs in the goroutine of a caller (Handle
// without Concurrency, the loop over All, the hooks of a blocking call) the caller may
// recover: no lock is held, no goroutine is left behind, and a message that was being
// handled counts as unfinished. Otherwise the program ends, as Go does it.
//
// # Servers
//
// Some things depend on the server. Mosquitto 2.0 keeps a 5.0 session over its
// own restart only if it was not opened with a clean start, that is with
// Config.Resume; before 5.0 it loses QoS 2 messages over a reconnect when more
// than its max_inflight_messages are in flight (see Config.Inflight); and when a
// connection breaks while it repeats PUBRELs, it delivers those messages again.
//
// # Errors
//
// NotSent(err) says whether the request is certain not to have reached the
// server. What the server said is a *ServerError, a limit of the server that a
// request breaks a *LimitError; both unwrap to a ReasonCode, so that
// errors.Is(err, mqtt.NotAuthorized) works. What could never work matches
// ErrInvalid, or is a *wire.FieldError for what the connection's version of MQTT
// does not have. ErrClosed stands for whatever ended the client: Err returns it.
//
//	method                 error                                  NotSent
//	Connect                *ServerError, *HTTPError: refused;     n/a
//	                       network errors; context ended;
//	                       ErrInvalid: URL or Config
//	Reconnect              context ended, what ended the client   true if nothing was done
//	Publish, Publish-      ErrInvalid, *wire.FieldError           true
//	Message                *LimitError                            true unless repeated on a new connection
//	                       ErrExpired in the queue                true unless repeated on a new connection
//	                       context ended, not sent yet (no room:  true
//	                       ErrQueueFull as well)
//	                       context ended, sent: goes on           false
//	                       ErrQueueFull by Config.WhenFull        true
//	                       *ServerError: refused                  false
//	                       ErrUndeliverable; ErrConnectionLost    false
//	                       in a large QoS 0 payload
//	                       ErrClosed                              true if not sent yet
//	PublishAsync           ErrInvalid; ErrQueueFull: no room      true
//	                       until ctx ended; ErrClosed
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
//	Reauthenticate         ErrInvalid, ErrNotConnected, ErrClosed true
//	                       ErrAuthenticator, *ServerError: the    false once it began
//	                       connection ended with it
//	PublishOnce            as Connect; as Publish, for each       true if none was sent
//	                       message
//	ReceiveOnce            as Connect, Subscribe and Next         n/a
//	Flush, Disconnect,     context ended, ErrClosed;              false
//	DisconnectWith         ErrConnectionLost: QoS 0 messages
//	                       were not written
//	Disconnect, -With      ErrInvalid: nothing was done           true
//	Message.Ack            ErrStale: the session is gone          n/a
//	Next, All              context ended, ErrClosed, what ended   n/a
//	                       the Subscription
package mqtt
