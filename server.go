package mqtt

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// server is a parsed server URL.
type server struct {
	scheme
	name     string // of the scheme, in lower case
	address  string // host:port, the path of a socket, or the domain of SRV records
	host     string // for the certificate and the Host header, without a zone; empty: a Unix socket
	path     string // of the WebSocket request, escaped
	query    string // of the WebSocket request; it may be a signature, and so a secret
	username string
	password Secret
}

// scheme is what a server URL's scheme means.
type scheme struct {
	tls, websocket, unix, srv bool
	port                      string // by default
}

var schemes = map[string]scheme{
	"mqtt":       {port: "1883"},
	"tcp":        {port: "1883"},
	"mqtts":      {tls: true, port: "8883"},
	"tls":        {tls: true, port: "8883"},
	"ssl":        {tls: true, port: "8883"},
	"ws":         {websocket: true, port: "80"},
	"wss":        {websocket: true, tls: true, port: "443"},
	"unix":       {unix: true},
	"mqtt+unix":  {unix: true},
	"mqtts+unix": {unix: true, tls: true},
	"ws+unix":    {unix: true, websocket: true},
	"wss+unix":   {unix: true, websocket: true, tls: true},
	"mqtt+srv":   {srv: true},
	"mqtts+srv":  {srv: true, tls: true},
}

// webSocketPath is where servers expect MQTT by custom.
const webSocketPath = "/mqtt"

// parseServer understands the URLs that Connect describes; what names the place
// they come from. Its errors never repeat the input: a password that is not
// escaped can be anywhere in it, even where a port or a path belongs.
func parseServer(what, raw string) (server, error) {
	if url := meant(raw); url != "" {
		return server{}, invalid(what, "has no scheme; did you mean %s?", url)
	}
	u, err := parseURL(raw)
	if err != nil {
		return server{}, invalid(what, "can not be parsed; write mqtt://host:port, with %%-escapes in user and password")
	}
	s := server{name: strings.ToLower(u.Scheme), host: zoneless(u.Hostname())}
	known := false
	if s.scheme, known = schemes[s.name]; !known {
		if s.name == "" {
			return server{}, invalid(what, "has no scheme; write mqtt://host:port")
		}
		if s.name == "http" || s.name == "https" {
			return server{}, invalid(what, "scheme %s is that of the web; for a WebSocket write %s://", s.name, "ws"+s.name[len("http"):])
		}
		return server{}, invalid(what, "scheme %.20q is not mqtt, mqtts, ws, wss, unix, mqtt+srv, mqtts+srv or one of their variants", u.Scheme)
	}
	if u.User != nil {
		s.username = u.User.Username()
		password, given := u.User.Password()
		s.password = Secret(password)
		if given && password == "" && s.username != "" {
			s.password = Empty
		}
	}
	if s.unix {
		return s, s.parseSocket(what, u)
	}
	return s, s.parseHost(what, u)
}

func (s *server) parseHost(what string, u *url.URL) error {
	switch {
	case s.host == "":
		return invalid(what, "names no host")
	case s.srv && u.Port() != "":
		return invalid(what, "has a port, but SRV records name the port")
	case s.srv && strings.Contains(u.Hostname(), ":"):
		return invalid(what, "has an address, but SRV records belong to a domain")
	case !s.websocket && (u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != ""):
		return invalid(what, "has more than credentials, a host and a port")
	}
	s.address = s.host
	if !s.srv {
		port := s.port
		if u.Port() != "" {
			port = u.Port()
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return invalid(what, "has a port that is not between 1 and 65535")
		}
		s.address = net.JoinHostPort(u.Hostname(), port)
	}
	if !s.websocket {
		return nil
	}
	return s.parseRequest(what, u, u.EscapedPath())
}

// parseSocket takes the path of a Unix socket. With WebSocket the path of the
// request may follow after a colon, as with nginx and the ws package of npm.
func (s *server) parseSocket(what string, u *url.URL) error {
	s.host = ""
	s.address = u.Host + u.Path
	request := ""
	if s.websocket {
		s.address, request, _ = strings.Cut(s.address, ":")
		request = (&url.URL{Path: request}).EscapedPath()
	}
	switch {
	case s.address == "":
		return invalid(what, "names no socket")
	case u.Port() != "":
		// In unix://user:12/3@run the host is "user" and the path has the rest of a password.
		return invalid(what, "has a port, which a Unix socket has not")
	case !s.websocket && (u.RawQuery != "" || u.Fragment != ""):
		return invalid(what, "has more than credentials and the path of a socket")
	case !s.websocket:
		return nil
	}
	return s.parseRequest(what, u, request)
}

func (s *server) parseRequest(what string, u *url.URL, path string) error {
	if u.Fragment != "" {
		return invalid(what, "has a fragment; write %%23 for #")
	}
	// In ws://user:12/3@host the host is "user" and the path has the rest of a
	// password, which would be dialled and logged.
	if strings.ContainsRune(u.EscapedPath()+u.RawQuery, '@') {
		return invalid(what, "has an @ after the host; write %%40, and %%-escapes in user and password")
	}
	if path == "" {
		path = webSocketPath
	}
	if path[0] != '/' {
		return invalid(what, "has a request path that does not begin with a slash")
	}
	s.path, s.query = path, u.RawQuery
	return nil
}

// network is the first argument of a dial function.
func (s *server) network() string {
	if s.unix {
		return "unix"
	}
	return "tcp"
}

// url is the URL without user name and password.
func (s *server) url() string {
	text := s.name + "://"
	if s.unix {
		text += (&url.URL{Path: s.address}).EscapedPath()
	} else {
		text += strings.ReplaceAll(s.address, "%", "%25") // of a zone (RFC 6874)
	}
	if !s.websocket {
		return text
	}
	if s.unix {
		text += ":"
	}
	text += s.path
	if s.query != "" {
		text += "?" + s.query
	}
	return text
}

// String is the URL without anything that may be secret.
func (s *server) String() string {
	public := *s
	public.query = ""
	return public.url()
}
