package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// serverSession is what a Server knows of the session apart from its messages.
type serverSession struct {
	exists bool
	expiry uint32     // seconds from the end of the connection
	will   *wire.Will // nil: none, or the client has sent DISCONNECT
}

// silence bounds the time in which nothing comes from the client.
type silence struct {
	limit time.Duration // 0: no limit
	last  time.Time     // when something came
}

// Deadline returns when Tick is to be called; zero means never. Handle the packets
// that have arrived before calling Tick.
func (s *Server) Deadline() time.Time {
	if s.phase == serverIdle || s.phase == serverEnded || s.silence.limit == 0 {
		return time.Time{}
	}
	return s.silence.last.Add(s.silence.limit)
}

// Tick does what is due at time now. ErrSilent and ErrConnectTimeout end the
// connection.
func (s *Server) Tick(now time.Time) error {
	due := s.Deadline()
	if due.IsZero() || now.Before(due) {
		return nil
	}
	if s.phase != serverConnected {
		s.shut()
		return ErrConnectTimeout
	}
	// [MQTT-3.1.2-22]
	s.shut()
	if s.link.Version == wire.V5 {
		s.sendDisconnect(wire.KeepAliveTimeout)
	}
	return ErrSilent
}

// Lost says that the connection is gone. It returns the will of the client, once
// [MQTT-3.1.2-10], or nil if there is none to publish. The caller observes its delay:
// it publishes the will when the delay is over or the session ends, whichever comes
// first [MQTT-3.1.3-9]. A session without an expiry interval has ended when Lost
// returns; see HasSession.
func (s *Server) Lost() (will *wire.Will) {
	wasUp := s.connack != nil
	s.phase, s.turn = serverIdle, turnNone
	s.link.Close()
	clear(s.requests)
	if !wasUp {
		return nil
	}
	s.connack = nil
	s.Sender.Stop(false)
	s.Receiver.Stop()
	will, s.session.will = s.session.will, nil
	if s.session.expiry == 0 {
		s.Forget()
	}
	return will
}

// HasSession reports whether there is a session. The caller keeps the subscriptions
// as long as there is.
func (s *Server) HasSession() bool { return s.session.exists }

// SessionExpiryInterval returns for how many seconds the session outlives the
// connection. 4,294,967,295 means forever.
func (s *Server) SessionExpiryInterval() uint32 { return s.session.expiry }

// Forget ends the session of a client that is not connected, because its expiry
// interval has run out [MQTT-4.1.0-2] or its subscriptions were lost. Messages for
// the client end with ErrSessionEnded. Forget may also be called while CONNECT waits
// for its answer.
func (s *Server) Forget() {
	if s.phase == serverConnected || s.phase == serverEnded && s.connack != nil {
		return
	}
	s.Sender.Fail(ErrSessionEnded)
	s.Receiver.Forget()
	s.session = serverSession{}
}

// Adopt takes over the session of old, another connection of the same client, while
// CONNECT waits for Accept. Before that the caller takes out of old the bytes that it
// still has to write, such as a DISCONNECT with SessionTakenOver. Adopt ends the
// connection of old like Lost and returns the will. old then has no session; Tokens of
// its messages belong to the Receiver of s. Call [Server.CheckAccept] first, because
// the connection of old cannot be restored if Accept fails.
func (s *Server) Adopt(old *Server) (will *wire.Will) {
	if old == s || s.phase != serverDeciding {
		return nil
	}
	s.Forget()
	will = old.Lost()
	s.Sender, old.Sender = old.Sender, s.Sender
	s.Receiver, old.Receiver = old.Receiver, s.Receiver
	s.session, old.session = old.session, serverSession{}
	for _, each := range []*Server{s, old} {
		each.Sender.link, each.Receiver.link = &each.link, &each.link
	}
	return will
}
