package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Server is where a server is and how it is reached: a parsed URL without user and
// password. Servers can be compared.
type Server struct {
	scheme
	Scheme  string // in lower case
	Address string // host:port, the path of a socket, or the domain of SRV records
	Host    string // for the certificate and the Host header, without a zone; empty: a Unix socket
	Path    string // of the WebSocket request, escaped
	Query   string // of the WebSocket request; it may be a signature, and so a secret
}

// scheme is what the scheme of a URL means.
type scheme struct {
	TLS, WebSocket, Unix, SRV bool
	port                      string // by default
}

var schemes = map[string]scheme{
	"mqtt":       {port: "1883"},
	"tcp":        {port: "1883"},
	"mqtts":      {TLS: true, port: "8883"},
	"tls":        {TLS: true, port: "8883"},
	"ssl":        {TLS: true, port: "8883"},
	"ws":         {WebSocket: true, port: "80"},
	"wss":        {WebSocket: true, TLS: true, port: "443"},
	"unix":       {Unix: true},
	"mqtt+unix":  {Unix: true},
	"mqtts+unix": {Unix: true, TLS: true},
	"ws+unix":    {Unix: true, WebSocket: true},
	"wss+unix":   {Unix: true, WebSocket: true, TLS: true},
	"mqtt+srv":   {SRV: true},
	"mqtts+srv":  {SRV: true, TLS: true},
}

// webSocketPath is where servers expect MQTT by custom.
const webSocketPath = "/mqtt"

// Parse understands the URLs that mqtt.Connect describes, and returns what is not the
// server's: user and password, or nil. Its errors never repeat the input: a password
// that is not escaped can be anywhere in it, even where a port or a path belongs.
func Parse(raw string) (Server, *url.Userinfo, error) {
	if url := suggestion(raw); url != "" {
		return Server{}, nil, fmt.Errorf("has no scheme; did you mean %s?", url)
	}
	u, err := parseURL(raw)
	if err != nil {
		return Server{}, nil, errors.New("cannot be parsed; write mqtt://host:port, with %-escapes in user and password")
	}
	s := Server{Scheme: strings.ToLower(u.Scheme), Host: zoneless(u.Hostname())}
	known := false
	if s.scheme, known = schemes[s.Scheme]; !known {
		return Server{}, nil, unknownScheme(s.Scheme, u.Scheme)
	}
	if s.Unix {
		return s, u.User, s.parseSocket(u)
	}
	return s, u.User, s.parseHost(u)
}

// unknownScheme says what to write instead of the scheme name, which was written so.
func unknownScheme(name, written string) error {
	switch name {
	case "":
		return errors.New("has no scheme; write mqtt://host:port")
	case "http", "https":
		return fmt.Errorf("scheme %s is that of the web; for a WebSocket write %s://", name, "ws"+name[len("http"):])
	}
	return fmt.Errorf("scheme %.20q is not mqtt, mqtts, ws, wss, unix, mqtt+srv, mqtts+srv or one of their variants", written)
}

func (s *Server) parseHost(u *url.URL) error {
	switch {
	case s.Host == "":
		return errors.New("names no host")
	case s.SRV && u.Port() != "":
		return errors.New("has a port, but SRV records name the port")
	case s.SRV && strings.Contains(u.Hostname(), ":"):
		return errors.New("has an address, but SRV records belong to a domain")
	case !isHost(u.Hostname()):
		return errors.New("has colons where a host belongs, and no IPv6 address; write host:port, or the address in brackets")
	case !s.WebSocket && (u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != ""):
		return errors.New("has more than credentials, a host and a port")
	}
	s.Address = s.Host
	if !s.SRV {
		port := s.port
		if u.Port() != "" {
			port = u.Port()
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("has a port that is not between 1 and 65535")
		}
		s.Address = net.JoinHostPort(u.Hostname(), port)
	}
	if !s.WebSocket {
		return nil
	}
	return s.parseRequest(u, u.EscapedPath())
}

// isHost says whether name may be a host. Colons are for IPv6 addresses alone. Their zones
// may have nearly anything: on Windows they are names for people.
func isHost(name string) bool {
	if !strings.Contains(name, ":") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Is6() && !strings.ContainsAny(addr.Zone(), "%[]") // which URLs need for themselves
}

// parseSocket takes the path of a Unix socket. With WebSocket the path of the
// request may follow after a colon, as with nginx and the ws package of npm.
func (s *Server) parseSocket(u *url.URL) error {
	s.Host = ""
	s.Address = u.Host + u.Path
	request := ""
	if s.WebSocket {
		s.Address, request, _ = strings.Cut(s.Address, ":")
		request = (&url.URL{Path: request}).EscapedPath()
	}
	switch {
	case s.Address == "":
		return errors.New("names no socket")
	case u.Port() != "":
		// In unix://user:12/3@run the host is "user" and the path has the rest of a password.
		return errors.New("has a port, which a Unix socket has not")
	case !s.WebSocket && (u.RawQuery != "" || u.Fragment != ""):
		return errors.New("has more than credentials and the path of a socket")
	case !s.WebSocket:
		return nil
	}
	return s.parseRequest(u, request)
}

func (s *Server) parseRequest(u *url.URL, path string) error {
	if u.Fragment != "" {
		return errors.New("has a fragment; write %23 for #")
	}
	// In ws://user:12/3@host the host is "user" and the path has the rest of a
	// password, which would be dialled and logged.
	if strings.ContainsRune(u.EscapedPath()+u.RawQuery, '@') {
		return errors.New("has an @ after the host; write %40, and %-escapes in user and password")
	}
	if path == "" {
		path = webSocketPath
	}
	if path[0] != '/' {
		return errors.New("has a request path that does not begin with a slash")
	}
	s.Path, s.Query = path, u.RawQuery
	return nil
}

// network is the first argument of a dial function.
func (s *Server) network() string {
	if s.Unix {
		return "unix"
	}
	return "tcp"
}

// zoneEscaper escapes the zone of an IPv6 address (RFC 6874).
var zoneEscaper = strings.NewReplacer("%", "%25", " ", "%20")

// URL is the URL without user name and password.
func (s *Server) URL() string {
	text := s.Scheme + "://"
	if s.Unix {
		text += escapedSocket(s.Address)
	} else {
		text += zoneEscaper.Replace(s.Address)
	}
	if !s.WebSocket {
		return text
	}
	if s.Unix {
		text += ":"
	}
	text += s.Path
	if s.Query != "" {
		text += "?" + s.Query
	}
	return text
}

// escapedSocket is the path of a socket in a URL. The beginning of a relative path stands
// where a host belongs, and is escaped like one.
func escapedSocket(path string) string {
	begin, rest := path, ""
	if i := strings.IndexByte(path, '/'); i >= 0 {
		begin, rest = path[:i], path[i:]
	}
	if begin != "" {
		begin = strings.TrimPrefix((&url.URL{Host: begin}).String(), "//")
	}
	return begin + (&url.URL{Path: rest}).EscapedPath()
}

// withoutTLS is the URL of the same place without TLS, and without anything that may be
// secret; empty: there is none.
func (s *Server) withoutTLS() string {
	plain := *s
	switch {
	case s.SRV:
		return ""
	case s.WebSocket:
		plain.Scheme = strings.Replace(s.Scheme, "wss", "ws", 1)
	case s.Unix:
		plain.Scheme = "mqtt+unix"
	default:
		plain.Scheme = "mqtt"
	}
	return plain.String()
}

// String is the URL without anything that may be secret.
func (s *Server) String() string {
	public := *s
	public.Query = ""
	return public.URL()
}
