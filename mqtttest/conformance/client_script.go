package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// clientCheck is a statement and how to see whether a client keeps it.
type clientCheck struct {
	Statement
	check func(*script) // nil: nothing can be seen
}

// script is one check of one client in one version. Its methods end the check when
// something is not as it has to be.
type script struct {
	version  wire.Version
	client   Client
	id       string // of the client; also the first level of the check's topics
	ctx      context.Context
	patience time.Duration
	deadline time.Time // of the whole check, for clients that never stop sending

	listener net.Listener
	peers    []*peer
	waiting  int         // operations without an answer
	failed   chan string // what operations that have failed say
	cannot   chan string // what the client says that has no way to do an operation
	messages []Event     // received and not asked for yet

	doing   string // what the check is about to see, in front of what is seen; "": nothing
	outcome Outcome
	detail  string
	remarks []string
}

func newScript(ctx context.Context, c Client, v wire.Version, number int, patience time.Duration) (*script, error) {
	s := &script{
		version: v, client: c, id: fmt.Sprintf("c%d", number), ctx: ctx, patience: patience,
		deadline: time.Now().Add(12 * patience),
		failed:   make(chan string, 100), cannot: make(chan string, 100),
	}
	return s, s.listen()
}

// listen opens a port in place of the one before.
func (s *script) listen() (err error) {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	return err
}

// run carries out the check on a goroutine that the check may end at any point.
func (s *script) run(check func(*script)) (Outcome, string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(s)
		s.detail = strings.Join(s.remarks, "; ")
	}()
	<-done
	return s.outcome, s.detail
}

// close ends the connections. It reports whether the program can be used again.
func (s *script) close() (usable bool) {
	_ = s.listener.Close()
	for _, p := range s.peers {
		p.close()
	}
	return s.waiting == 0
}

// end ends the check.
func (s *script) end(o Outcome, format string, arguments ...any) {
	s.outcome, s.detail = o, s.seen(format, arguments...)
	runtime.Goexit()
}

// fails ends the check with what was seen.
func (s *script) fails(format string, arguments ...any) { s.end(Fails, format, arguments...) }

// advised ends the check of something that the text advises and the client does not do.
func (s *script) advised(format string, arguments ...any) { s.end(Departs, format, arguments...) }

// remark notes something that the text permits.
func (s *script) remark(format string, arguments ...any) {
	if r := s.seen(format, arguments...); !slices.Contains(s.remarks, r) {
		s.remarks = append(s.remarks, r)
	}
}

func (s *script) seen(format string, arguments ...any) string {
	seen := fmt.Sprintf(format, arguments...)
	if s.listener != nil { // results are the same from run to run
		seen = strings.ReplaceAll(seen, s.listener.Addr().String(), "server")
	}
	if s.doing != "" {
		seen = s.doing + ": " + seen
	}
	return seen
}

// topic returns a topic of this check alone.
func (s *script) topic(rest string) string { return s.id + "/" + rest }

// v5 reports whether the check runs on 5.0.
func (s *script) v5() bool { return s.version == wire.V5 }

// call is an operation that is under way.
type call struct {
	s      *script
	op     string
	answer chan Answer // gets one
	taken  *Answer     // nil: not taken yet
}

// begin asks the client for an operation and does not wait for its answer.
func (s *script) begin(op Operation) *call {
	c := &call{s: s, op: op.Op, answer: make(chan Answer, 1)}
	s.waiting++
	ctx := s.ctx
	go func() {
		ctx, cancel := context.WithTimeout(ctx, 3*s.patience)
		defer cancel()
		a, err := s.client.Do(ctx, op)
		if err != nil {
			a = Answer{Error: err.Error(), Code: -1}
		}
		switch {
		case a.Unsupported:
			s.cannot <- op.Op + ": " + a.Error
		case !a.OK:
			s.failed <- op.Op + ": " + a.Error
		}
		c.answer <- a
	}()
	return c
}

// wait waits for the answer.
func (c *call) wait() Answer {
	if c.taken != nil {
		return *c.taken
	}
	select {
	case a := <-c.answer:
		return c.take(a)
	case <-time.After(c.s.patience):
		c.s.fails("no answer to %s within %v", c.op, c.s.patience)
		panic("unreachable")
	}
}

// take notes that the answer is here. A client that has no way to do the operation
// ends the check.
func (c *call) take(a Answer) Answer {
	if a.Code == -1 {
		c.s.fails("%s: %s", c.op, a.Error)
	}
	c.s.waiting--
	c.taken = &a
	if !a.OK && !a.Unsupported {
		select {
		case <-c.s.failed: // the check knows
		default:
		}
	}
	if a.Unsupported {
		c.s.end(Cannot, "%s: %s", c.op, a.Error)
	}
	return a
}

// do carries out an operation that has to succeed.
func (s *script) do(op Operation) Answer {
	a := s.begin(op).wait()
	if !a.OK {
		s.fails("%s: %s", op.Op, a.Error)
	}
	return a
}

// connect returns the operation that connects to this check.
func (s *script) connect() Operation {
	return Operation{
		Op: "connect", URL: "mqtt://" + s.listener.Addr().String(), Version: int(s.version),
		ID: s.id, Clean: true, KeepAlive: 60,
	}
}

// dial connects the client and answers CONNECT with ack, which has to be accepted.
func (s *script) dial(op Operation, ack *wire.Connack) *peer {
	c := s.begin(op)
	p := s.accept(c)
	p.send(ack)
	if a := c.wait(); !a.OK {
		s.fails("connect: %s", a.Error)
	}
	return p
}

// open is dial with an ordinary connection.
func (s *script) open() *peer { return s.dial(s.connect(), &wire.Connack{}) }

// accept waits for a connection and its CONNECT. c is the operation that makes it; nil
// means that the client reconnects by itself.
func (s *script) accept(c *call) *peer {
	p := s.acceptRaw(c)
	f := p.next()
	connect, ok := f.packet.(*wire.Connect)
	if !ok {
		s.fails("the first packet is %v", f)
	}
	if connect.Version != s.version {
		s.fails("CONNECT is of version %v", connect.Version)
	}
	p.connect, p.first = connect, f.raw
	return p
}

// accepted is a connection that has come, or why none can come.
type accepted struct {
	conn net.Conn
	err  error
}

// incoming returns a channel that gets the next connection.
func (s *script) incoming() <-chan accepted {
	incoming := make(chan accepted, 1)
	listener := s.listener // listen may put another in its place
	go func() {
		conn, err := listener.Accept()
		incoming <- accepted{conn, err}
	}()
	return incoming
}

// acceptRaw waits for a connection.
func (s *script) acceptRaw(c *call) *peer {
	var answer chan Answer
	if c != nil {
		answer = c.answer
	}
	select {
	case a := <-s.incoming():
		if a.err != nil {
			s.fails("no connection: %v", a.err)
		}
		p := newPeer(s, a.conn)
		s.peers = append(s.peers, p)
		return p
	case a := <-answer:
		a = c.take(a)
		s.fails("%s ends without a connection: %s", c.op, a.Error)
	case <-time.After(s.patience):
		s.fails("no connection within %v", s.patience)
	}
	panic("unreachable")
}

// has reports whether the client has a feature.
func (s *script) has(feature string) bool {
	return slices.Contains(s.client.Hello().Features, feature)
}

// event waits for an event of that kind. Messages are kept for those who ask for them.
func (s *script) event(kind string) Event {
	if kind == "message" && len(s.messages) > 0 {
		e := s.messages[0]
		s.messages = s.messages[1:]
		return e
	}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	for {
		select {
		case e, open := <-s.client.Events():
			switch {
			case !open:
				s.fails("%v", errEnded)
			case e.Event == kind:
				return e
			case e.Event == "message":
				s.messages = append(s.messages, e)
			}
		case <-timer.C:
			s.fails("no event %q within %v", kind, s.patience)
		}
	}
}

var errGone = errors.New("the end of the connection")
