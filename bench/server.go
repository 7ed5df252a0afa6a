package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// serverSettings are the flags of a server process.
type serverSettings struct {
	kind      string
	addr      string // to listen on; empty: any port
	transport transport
	secrets   string // directory of the certificate, for TLS
	qos       int
	size      int
	window    int
	filters   int
}

func (s *serverSettings) arguments() []string {
	return []string{
		"serve", "-kind", s.kind, "-qos", fmt.Sprint(s.qos), "-size", fmt.Sprint(s.size),
		"-window", fmt.Sprint(s.window), "-filters", fmt.Sprint(s.filters),
		"-addr", s.addr, "-transport", string(s.transport), "-secrets", s.secrets,
	}
}

func (s *serverSettings) parse(args []string) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.StringVar(&s.kind, "kind", "", "sink, firehose or witness")
	f.StringVar(&s.addr, "addr", "127.0.0.1:0", "to listen on")
	f.StringVar((*string)(&s.transport), "transport", "", "tls or ws")
	f.StringVar(&s.secrets, "secrets", "", "directory of the certificate")
	f.IntVar(&s.qos, "qos", 0, "of the firehose")
	f.IntVar(&s.size, "size", 0, "bytes of payload of the firehose")
	f.IntVar(&s.window, "window", 0, "receive maximum, and messages in flight of the firehose")
	f.IntVar(&s.filters, "filters", 1, "after which the firehose starts")
	return f.Parse(args)
}

// serverReport is what a server has seen.
type serverReport struct {
	Published uint64 `json:"published"` // PUBLISH packets that came in
	Sent      uint64 `json:"sent"`      // PUBLISH packets that went out
	Disorder  uint64 `json:"disorder"`  // acknowledgements out of order
	Errors    int    `json:"errors"`
}

// server accepts connections until its standard input ends, so that it never
// outlives the process that started it.
type server struct {
	serverSettings
	handle func(net.Conn) (serverReport, error)
	tls    *tls.Config
	// saw is told of packets outside of exchanges. Nil: nobody wants to know.
	saw func(first byte)

	mu     sync.Mutex
	conns  map[net.Conn]bool
	report serverReport
	wg     sync.WaitGroup
}

func serve(args []string) error {
	var settings serverSettings
	if err := settings.parse(args); err != nil {
		return err
	}
	s, err := newServer(settings)
	if err != nil {
		return err
	}
	if err := raiseOpenFiles(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	if s.kind == "witness" {
		s.saw = witness(time.Now(), os.Stdout)
	}
	s.wg.Go(func() { s.accept(ln) })
	fmt.Println(ln.Addr())
	io.Copy(io.Discard, os.Stdin)
	ln.Close()
	s.end()
	s.wg.Wait()
	return json.NewEncoder(os.Stdout).Encode(s.report)
}

func newServer(settings serverSettings) (s *server, err error) {
	s = &server{serverSettings: settings, conns: make(map[net.Conn]bool)}
	switch s.kind {
	case "sink", "witness":
		s.handle = s.sink
	case "firehose":
		s.handle = s.firehose
	default:
		return nil, fmt.Errorf("unknown server %q", s.kind)
	}
	if s.transport == overTLS {
		s.tls, err = presenting(s.secrets)
	}
	return s, err
}

func (s *server) serveConn(nc net.Conn) {
	defer nc.Close()
	s.mu.Lock()
	s.conns[nc] = true
	s.mu.Unlock()
	report, err := s.handle(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, nc)
	s.report.Published += report.Published
	s.report.Sent += report.Sent
	s.report.Disorder += report.Disorder
	if err != nil {
		s.report.Errors++
		fmt.Fprintln(os.Stderr, s.kind+":", err)
	}
}

// end hangs up on clients that are still there. What they sent was
// acknowledged, so it has been counted.
func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		nc.Close()
	}
}

// answers is what both servers say to the packets around the measured ones.
type answers struct {
	window int
	v5     bool
	out    []byte
	saw    func(first byte) // see server
}

// answer handles packets that are not part of an exchange of messages.
func (a *answers) answer(first byte, body []byte) (s subscription, err error) {
	if a.saw != nil {
		a.saw(first)
	}
	switch first & 0xf0 {
	case typeConnect:
		version, err := connectVersion(body)
		if err != nil {
			return s, err
		}
		a.v5 = version >= 5
		a.out = appendConnack(a.out, version, a.window)
	case typeSubscribe & 0xf0:
		if s, err = parseSubscribe(body, a.v5); err != nil {
			return s, err
		}
		a.out = s.appendSuback(a.out, a.v5)
	case typePingreq:
		a.out = append(a.out, typePingresp, 0)
	case typeDisconnect:
		return s, io.EOF
	default:
		return s, fmt.Errorf("packet %#x is not expected", first)
	}
	return s, nil
}
