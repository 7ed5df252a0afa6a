package conformance

import "context"

// Client is a client program under test. It has one connection at a time. A check
// uses it alone.
type Client interface {
	// Hello says what the client is.
	Hello() Hello
	// Do carries out an operation and returns its answer. The error says that there
	// is none: the program has ended, or ctx has.
	Do(ctx context.Context, op Operation) (Answer, error)
	// Events returns the channel of what the client reports. It closes with the
	// client.
	Events() <-chan Event
	// Close ends the client without ceremony.
	Close() error
}

// Hello is what a client says about itself.
type Hello struct {
	Name       string   `json:"name"`
	Library    string   `json:"library"` // with its version
	Versions   []int    `json:"versions"`
	Transports []string `json:"transports"` // "mqtt", "ws"
	// Features are what the suite asks about before it begins a check. "reconnect":
	// the library reconnects by itself.
	Features []string `json:"features"`
}

// Operation is what a client is asked to do. The documentation of the package says
// what each does.
type Operation struct {
	Op string `json:"op"`

	// connect
	URL                        string      `json:"url,omitempty"`
	Version                    int         `json:"version,omitempty"`
	ID                         string      `json:"id,omitempty"`
	Clean                      bool        `json:"clean,omitempty"`
	KeepAlive                  int         `json:"keepalive,omitempty"` // seconds; 0: off
	Username                   *string     `json:"username,omitempty"`
	Password                   *string     `json:"password,omitempty"`
	Expiry                     uint32      `json:"expiry,omitempty"` // seconds; of disconnect as well
	ReceiveMaximum             int         `json:"receiveMaximum,omitempty"`
	MaximumPacketSize          int         `json:"maximumPacketSize,omitempty"`
	TopicAliasMaximum          int         `json:"topicAliasMaximum,omitempty"`
	RequestResponseInformation bool        `json:"requestResponseInformation,omitempty"`
	NoProblemInformation       bool        `json:"noProblemInformation,omitempty"`
	Will                       *Will       `json:"will,omitempty"`
	UserProperties             [][2]string `json:"userProperties,omitempty"`
	Auth                       *Auth       `json:"auth,omitempty"`
	Reconnect                  bool        `json:"reconnect"`
	AutoAlias                  bool        `json:"autoAlias,omitempty"` // the library assigns topic aliases, as many as the server takes

	// publish
	Topic         string      `json:"topic,omitempty"`
	TopicBase64   []byte      `json:"topicBase64,omitempty"`
	Payload       string      `json:"payload,omitempty"`
	PayloadBase64 []byte      `json:"payloadBase64,omitempty"`
	QoS           int         `json:"qos,omitempty"`
	Retain        bool        `json:"retain,omitempty"`
	Properties    *Properties `json:"properties,omitempty"`
	Wait          bool        `json:"wait,omitempty"`

	// subscribe, unsubscribe
	Filters    []Filter `json:"filters,omitempty"`
	Identifier int      `json:"identifier,omitempty"` // of the subscription; 0: none

	// disconnect
	Code int `json:"code,omitempty"`
}

// Filter is a filter to subscribe to, or to unsubscribe from.
type Filter struct {
	Filter            string `json:"filter,omitempty"`
	FilterBase64      []byte `json:"filterBase64,omitempty"`
	QoS               int    `json:"qos,omitempty"`
	NoLocal           bool   `json:"noLocal,omitempty"`
	RetainAsPublished bool   `json:"retainAsPublished,omitempty"`
	RetainHandling    int    `json:"retainHandling,omitempty"`
}

// Will is the will of a connection.
type Will struct {
	Topic       string      `json:"topic"`
	TopicBase64 []byte      `json:"topicBase64,omitempty"`
	Payload     string      `json:"payload,omitempty"`
	QoS         int         `json:"qos,omitempty"`
	Retain      bool        `json:"retain,omitempty"`
	Delay       uint32      `json:"delay,omitempty"` // seconds
	Properties  *Properties `json:"properties,omitempty"`
}

// Auth asks for enhanced authentication.
type Auth struct {
	Method string `json:"method"`
	Data   []byte `json:"data,omitzero"`
}

// Properties are those of a message, or of CONNACK in the answer to connect, or of
// the packet that a failure came with.
type Properties struct {
	PayloadFormat           *int        `json:"payloadFormat,omitempty"`
	MessageExpiry           *uint32     `json:"messageExpiry,omitempty"` // seconds
	ContentType             string      `json:"contentType,omitempty"`
	ResponseTopic           string      `json:"responseTopic,omitempty"`
	Correlation             []byte      `json:"correlation,omitzero"` // empty is not absent
	Alias                   *int        `json:"alias,omitempty"`
	SubscriptionIdentifiers []int       `json:"subscriptionIdentifiers,omitempty"`
	UserProperties          [][2]string `json:"userProperties,omitempty"`

	ReasonString        string `json:"reasonString,omitempty"`
	AssignedID          string `json:"assignedID,omitempty"`
	ServerReference     string `json:"serverReference,omitempty"`
	ResponseInformation string `json:"responseInformation,omitempty"`
}

// Answer is how an operation ended.
type Answer struct {
	OK          bool        `json:"ok"`
	Error       string      `json:"error,omitempty"`
	Unsupported bool        `json:"unsupported,omitempty"` // the library has no way to do it
	Present     bool        `json:"present,omitempty"`     // Session Present of CONNACK
	Code        int         `json:"code,omitempty"`        // before 5.0 of CONNACK the return code
	Codes       []int       `json:"codes,omitempty"`       // of SUBACK and UNSUBACK
	Properties  *Properties `json:"properties,omitempty"`
}

// Event is what a client reports by itself.
type Event struct {
	Event string `json:"event"` // "message", "disconnected" or "connected"

	Topic         string      `json:"topic,omitempty"`
	PayloadBase64 []byte      `json:"payloadBase64,omitempty"`
	QoS           int         `json:"qos,omitempty"`
	Retain        bool        `json:"retain,omitempty"`
	Dup           bool        `json:"dup,omitempty"`
	Properties    *Properties `json:"properties,omitempty"`

	Code    int    `json:"code,omitempty"`
	Error   string `json:"error,omitempty"`
	Present bool   `json:"present,omitempty"`
}
