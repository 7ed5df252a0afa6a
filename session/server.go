package session

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Server is the server side of MQTT towards one client. One value serves any
// number of its connections, one after the other:
//
//	Open, then Handle for every packet received, then Lost
//
// Requests of the packets are collected in Events until the caller takes them. The
// caller decides. It answers CONNECT with Accept or Refuse, SUBSCRIBE with Suback,
// UNSUBSCRIBE with Unsuback and AUTH with Auth, and it acknowledges messages with
// Receiver.Ack. Messages for the client go to Publish or Sender. Bytes come out
// (Take), and Tick is called at Deadline. The Server itself handles PINGREQ and the
// acknowledgements of the client.
//
// Server is for servers, gateways and test peers. The broker of this module does not use
// it, because it sends a message to many clients. It is built on Sender and Receiver,
// which Server contains as well, and on the same rules: [RefuseWill], [RefusePublish],
// [RefuseSubscribe], [RefuseDisconnect].
//
// A server with many clients begins each connection with a new Server, because it
// does not know yet which client it is. It then gives the new Server the session of
// the client identifier in CONNECT: see [Server.Adopt].
type Server struct {
	Sender   *Sender
	Receiver *Receiver

	link     Link
	phase    serverPhase
	turn     serverTurn
	connect  *wire.Connect // of this connection
	connack  *wire.Connack // nil until it is accepted
	limits   Limits        // what connack allows the client
	decoder  wire.Decoder
	silence  silence
	requests map[uint16]serverRequest
	session  serverSession
	inbox    inbox
	settings ServerSettings
	scratch  scratch
}

// ServerSettings are what a Server needs to know besides its CONNACK packets.
type ServerSettings struct {
	// Inflight limits the unacknowledged QoS 1 and 2 messages that we send, within
	// the client's Receive Maximum. Zero means that only the client limits them.
	Inflight int
	// TopicAliases is how many automatically chosen topic aliases are used towards
	// the client, within what it allows (5.0). Zero means none; messages may then
	// bring their own.
	TopicAliases uint16
	// ConnectTimeout is how long a client may take from Open until it is accepted.
	// Zero means 10 seconds.
	ConnectTimeout time.Duration
	// HasSession says that the client has a session from before, although this Server
	// is new: the caller has kept the subscriptions.
	HasSession bool
}

// Event is a packet that the caller has to act on. Packet is one of
//
//	*wire.Connect      answer with Accept, Refuse, or Auth if it names a method
//	*wire.Auth         answer with Auth, or with Accept or Refuse before CONNACK
//	*wire.Publish      Receiver.Ack with Token, if that is not zero
//	*wire.Subscribe    answer with Suback
//	*wire.Unsubscribe  answer with Unsuback
//	*wire.Disconnect   the last one: write what Take returns, close, call Lost
//
// A PUBLISH, whose Payload and CorrelationData alias the bytes given to Handle,
// is valid until [Server.Recycle]. The others belong to the caller.
type Event struct {
	Packet wire.Packet
	Token  Token // of a PUBLISH
}

// Errors of the server side.
var (
	// ErrOutOfTurn is the error of an answer that the client has not asked for.
	ErrOutOfTurn = errors.New("the client has not asked for this answer")
	// ErrUndecided says that a packet came while CONNECT waits for the caller's
	// answer. The packet may be handled again after that.
	ErrUndecided = errors.New("CONNECT is not answered yet")
	// ErrConnectTimeout says that the client was not accepted in time.
	ErrConnectTimeout = errors.New("client took too long to connect")
	// ErrSilent says that the client sent nothing for one and a half keep-alive
	// intervals.
	ErrSilent = errors.New("client was silent for longer than its keep-alive interval allows")
	// ErrSessionEnded ends a message whose session is over.
	ErrSessionEnded = errors.New("session of the client has ended")
)

type serverPhase uint8

const (
	serverIdle      serverPhase = iota
	serverWaiting               // waits for CONNECT
	serverDeciding              // CONNECT came; CONNACK is not sent
	serverConnected             // CONNACK accepted it
	serverEnded                 // ended by an error, a refusal, or DISCONNECT in either direction
)

// NewServer returns an engine without a connection.
func NewServer(settings ServerSettings) *Server {
	if settings.ConnectTimeout <= 0 {
		settings.ConnectTimeout = 10 * time.Second
	}
	s := &Server{settings: settings, session: serverSession{exists: settings.HasSession}}
	s.Sender = NewSender(&s.link, settings.Inflight)
	s.Receiver = NewReceiver(&s.link)
	return s
}

// Open begins a connection, whose first packet has to be CONNECT. If there is another
// connection, Open calls Lost first.
func (s *Server) Open(now time.Time) {
	s.Lost()
	s.phase, s.connect = serverWaiting, nil
	s.decoder = wire.Decoder{From: wire.FromClient}
	s.silence = silence{limit: s.settings.ConnectTimeout, last: now}
}

// Handle handles one packet. The returned error ends the connection, unless it is
// ErrUndecided. It is a [*wire.Error]. If the client is to be told why, a CONNACK or
// DISCONNECT then waits in Take.
func (s *Server) Handle(h wire.Header, body []byte, now time.Time) error {
	if s.undecided() {
		return ErrUndecided
	}
	err := s.handle(h, body, now)
	if err != nil {
		s.Fail(err)
	}
	return err
}

// HandleBuffered handles the packets that r has buffered, one after the other. It
// stops when CONNECT has to be answered: call it again after the answer, before more
// is read. r begins with version 0; HandleBuffered sets the version of CONNECT.
func (s *Server) HandleBuffered(r *wire.Reader, now time.Time) error {
	for !s.undecided() {
		h, body, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		if err := s.Handle(h, body, now); err != nil {
			return err
		}
		if h.Type == wire.TypeConnect {
			r.SetVersion(s.Version())
		}
	}
	return nil
}

// Fail ends the connection because of err, which the caller found, for example with
// its [wire.Reader]. If err is a [*wire.Error], a 5.0 client is told in a DISCONNECT,
// and a client that is not accepted yet in a CONNACK.
func (s *Server) Fail(err error) {
	was := s.phase
	s.shut()
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return
	}
	switch {
	case was == serverConnected && s.link.Version == wire.V5:
		s.sendDisconnect(fault.Reason)
	case was == serverDeciding:
		s.sendRefusal(&wire.Connack{ReasonCode: fault.Reason})
	}
}

// Connect returns the CONNECT of the connection, or nil before it came.
func (s *Server) Connect() *wire.Connect { return s.connect }

// Connack returns the CONNACK that has accepted the connection, or nil before that.
func (s *Server) Connack() *wire.Connack { return s.connack }

// Version returns the version of the connection. It is 0 before CONNECT.
func (s *Server) Version() wire.Version { return s.link.Version }

// Limits returns what the client allows on this connection.
func (s *Server) Limits() Limits { return s.link.Limits }

// Connected reports whether the client was accepted and the connection has not
// ended.
func (s *Server) Connected() bool { return s.phase == serverConnected }

// Pending returns how many bytes wait to be taken.
func (s *Server) Pending() int { return s.link.Pending() }

// Take returns the bytes to write next and continues with spare as its buffer.
// It then fills the buffer with queued messages that did not fit before.
func (s *Server) Take(spare []byte, now time.Time) []byte {
	b := s.link.Take(spare)
	s.Sender.Pump(now)
	return b
}

// Trim frees memory that busier times have left: the buffer of Take, if it is empty
// and larger than keep bytes, and the memory for received messages.
func (s *Server) Trim(keep int) {
	s.link.Trim(keep)
	s.Receiver.trim()
	s.inbox.trim()
}

// Events returns the requests of the packets handled since the last Recycle, in
// order.
func (s *Server) Events() []Event { return s.inbox.events }

// Recycle says that the caller no longer uses what Events returned.
func (s *Server) Recycle() {
	s.inbox.recycle()
	s.decoder.Recycle()
}

// undecided reports whether the caller has to answer CONNECT, or an AUTH before
// CONNACK, before another packet is handled.
func (s *Server) undecided() bool { return s.phase == serverDeciding && s.turn == turnServer }

// shut stops all further sending.
func (s *Server) shut() {
	s.phase = serverEnded
	s.link.Shut()
}

// sendDisconnect sends DISCONNECT, which has no text and therefore fits. [MQTT-3.14.4-1]
// Nothing follows.
func (s *Server) sendDisconnect(code wire.ReasonCode) {
	s.link.appendChecked(&wire.Disconnect{ReasonCode: code})
}
