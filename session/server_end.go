package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// serverSession is what a Server knows of the session besides its messages.
type serverSession struct {
	exists bool
	expiry uint32     // seconds from the end of the connection
	will   *wire.Will // nil: none, or the client has said goodbye
}

// silence is how long nothing may come from the client.
type silence struct {
	limit time.Duration // 0: forever
	last  time.Time     // when something came
}

// Deadline returns when Tick wants to be called; zero means never. Packets that
// have arrived are to be handled before.
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

// Lost says that the connection is gone. It returns the will that the client has
// left for this case, once [MQTT-3.1.2-10], and nil if there is none. Whether its
// delay holds it back is for the caller to see to: until then, or until the
// session ends [MQTT-3.1.3-9]. A session without expiry interval has ended when
// Lost returns; see HasSession.
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

// HasSession reports whether there is a session. The caller keeps the
// subscriptions as long as there is one.
func (s *Server) HasSession() bool { return s.session.exists }

// SessionExpiryInterval returns for how many seconds the session outlives the
// connection; 4,294,967,295 is forever.
func (s *Server) SessionExpiryInterval() uint32 { return s.session.expiry }

// Forget ends the session of a client that is not connected: its expiry interval
// has run out [MQTT-4.1.0-2], or its subscriptions got lost. Messages for it end
// with ErrSessionEnded. While CONNECT waits to be answered it may be called, too.
func (s *Server) Forget() {
	if s.phase == serverConnected || s.phase == serverEnded && s.connack != nil {
		return
	}
	s.Sender.Fail(ErrSessionEnded)
	s.Receiver.Forget()
	s.session = serverSession{}
}

// Adopt takes over the session of old, another connection of the same client,
// while CONNECT waits for Accept. What old still has to write, such as a
// DISCONNECT with SessionTakenOver, is taken out of it before: Adopt ends its
// connection like Lost, whose result it returns. old has no session then: Tokens of
// its messages go to the Receiver of s. Ask [Server.CheckAccept] before, since nothing
// brings the connection of old back when Accept fails.
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
