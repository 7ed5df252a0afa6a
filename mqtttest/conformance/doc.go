// Package conformance checks MQTT programs against the statements of MQTT 3.1.1 and
// 5.0, and names the statement in each result.
//
// A client under test is a [Client]: a Go value, or a program that speaks the line
// protocol below ([Command]). The suite plays the server. Each check has a listener
// of its own on the loopback interface and an identifier of its own, so that checks
// run side by side.
//
// A server under test is an address, in a [ServerRun]. The suite plays its clients, all at the
// same time, with identifiers and topics of their own.
//
// # Line protocol
//
// The program reads lines of JSON from its standard input and writes lines of JSON
// to its standard output. Its first line says what it is:
//
//	{"event":"hello","name":"paho-go","library":"github.com/eclipse/paho.mqtt.golang v1.5.0",
//	 "versions":[4,5],"transports":["mqtt","ws"],"features":["reconnect"]}
//
// Each line of input is an [Operation]. The program answers each with one line, in
// order: {"ok":true,…}, {"ok":false,"error":"…"}, or {"ok":false,"unsupported":true}
// where the library has no way to do it. What an operation does not have is false, 0
// or not set.
//
//	{"op":"connect","url":"mqtt://127.0.0.1:1234","version":5,"id":"x","clean":true,"keepalive":30}
//	{"op":"publish","topic":"a","payload":"text","qos":1,"wait":true}
//	{"op":"subscribe","filters":[{"filter":"a/#","qos":1}]}
//	{"op":"unsubscribe","filters":[{"filter":"a/#"}]}
//	{"op":"ping"}
//	{"op":"reauthenticate"}
//	{"op":"disconnect","code":0}
//	{"op":"reset"}
//	{"op":"quit"}
//
// The answer to connect comes after CONNACK, or when connecting has failed for good
// or once. It has "present", "code" and "properties" as far as the library shows
// them; a refusal has its "code". A connect with "reconnect":false makes one attempt,
// and the library does not reconnect. With "reconnect":true the library reconnects by
// itself, soon, and the program reports it with an event. A second connect with the
// same id and without "clean" goes on with the session of the first, as far as the
// library keeps one; with another id it begins with nothing.
//
// The answer to a publish with "wait" comes when the message is acknowledged (QoS 0:
// when it is written), with the "code" of the acknowledgement. Without "wait" it
// comes at once, and the message is on its way in the background, in order. The
// answers to subscribe and unsubscribe have "codes", one for each filter.
//
// The program answers reset when its client is gone, without DISCONNECT if possible,
// with its session, and reports no more events of it. The next connect begins with
// nothing. quit ends the program.
//
// With "auth" the library conducts enhanced authentication with that method. It sends
// "data" in CONNECT. It answers each AUTH of the server with the text "re:" and then
// the data of the server's AUTH.
//
// With "autoAlias" the library assigns topic aliases by itself; a message with an
// "alias" among its properties is sent with that one. The "identifier" of a subscribe
// is the subscription identifier to send; a library that chooses identifiers by itself
// sends its own.
//
// Text that is no UTF-8 comes as "topicBase64" or "filterBase64" in place of "topic"
// and "filter". A program whose strings cannot hold it answers "unsupported".
// Correlation data, payloadBase64 and authentication data are in base64.
//
// The program reports at any time:
//
//	{"event":"message","topic":"a","payloadBase64":"dGV4dA==","qos":1,"retain":false,"dup":false,"properties":{…}}
//	{"event":"disconnected","code":139,"error":"…"}
//	{"event":"connected","present":true}
//
// A program must show its library as its users have it: with the options that the
// library documents, without working around its faults.
package conformance
