package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectorFile is testdata/packet-vectors.json; its "about" says what the members mean.
type vectorFile struct {
	Vectors         []vector
	PropertyMatrix  []matrixRow `json:"property_matrix"`
	PropertyRepeats []matrixRow `json:"property_repeats"`
	ReasonMatrix    []matrixRow `json:"reason_code_matrix"`
	Primitives      struct {
		Varints []varintCase `json:"variable_byte_integer"`
		Strings []stringCase `json:"utf8_string"`
		Names   []stringCase `json:"topic_name"`
		Filters []stringCase `json:"topic_filter"`
	}
}

type vector struct {
	ID        string
	Version   string
	Direction string
	Packet    string
	What      string
	Hex       string
	Fill      *struct {
		Byte  string
		Count int
	}
	Validity  string
	Judge     string // "", "session" or "none"
	Fields    json.RawMessage
	Canonical bool
	Expect    struct {
		Level          string
		ReasonCode     string   `json:"reason_code"`
		AlsoAcceptable []string `json:"also_acceptable"`
		ReturnCode     *byte    `json:"connack_return_code"`
	}
}

// matrixRow is one cell of a matrix: a packet that is right but for one property or code.
type matrixRow struct {
	Packet, Property, Sender, Code, Hex, Expect, Note string
	Allowed                                           bool
	RepeatAllowed                                     bool `json:"repeat_allowed"`
}

type varintCase struct {
	Hex        string
	Value      uint32
	Valid      bool
	Valid311   bool `json:"valid_3_1_1"`
	Incomplete bool
}

type stringCase struct {
	Hex   string
	Text  string
	Valid bool
}

var vectors = sync.OnceValue(func() vectorFile {
	var file vectorFile
	data, err := os.ReadFile("testdata/packet-vectors.json")
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil {
		panic(err)
	}
	return file
})

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	b := unhex(t, v.Hex)
	if v.Fill != nil {
		b = append(b, bytes.Repeat(unhex(t, v.Fill.Byte), v.Fill.Count)...)
	}
	return b
}

func (v vector) version(t testing.TB) Version {
	t.Helper()
	for _, version := range []Version{V31, V311, V5} {
		if version.String() == v.Version {
			return version
		}
	}
	require.Fail(t, "unknown version", v.Version)
	return 0
}

func (v vector) from() Sender {
	if v.Direction == "client-to-server" {
		return FromClient
	}
	return FromServer
}

// codes are the reason codes that may be given for a vector that is to be refused.
func (v vector) codes(t testing.TB) []ReasonCode {
	t.Helper()
	switch {
	case v.Expect.ReasonCode != "":
		codes := []ReasonCode{parseCode(t, v.Expect.ReasonCode)}
		for _, code := range v.Expect.AlsoAcceptable {
			codes = append(codes, parseCode(t, code))
		}
		return codes
	case v.Expect.ReturnCode != nil:
		return []ReasonCode{returnCodes[*v.Expect.ReturnCode]}
	case v.Validity == "malformed":
		return []ReasonCode{MalformedPacket}
	case v.Packet == "CONNECT":
		return []ReasonCode{ProtocolError, UnsupportedProtocolVersion}
	}
	return []ReasonCode{ProtocolError}
}

func parseCode(t testing.TB, s string) ReasonCode {
	t.Helper()
	code, err := strconv.ParseUint(s, 0, 8)
	require.NoError(t, err)
	return ReasonCode(code)
}

// decodePacket decodes the bytes of one packet and nothing else.
func decodePacket(b []byte, v Version, from Sender) (Packet, error) {
	h, n, err := ParseHeader(b, v)
	switch {
	case err != nil:
		return nil, err
	case n == 0 || h.Size != len(b):
		return nil, malformed(h.Type, "not exactly one packet")
	}
	d := Decoder{Version: v, From: from}
	return d.Decode(h, b[n:])
}

// refusal returns the reason for which bytes were refused.
func refusal(t testing.TB, err error) ReasonCode {
	t.Helper()
	var refused *Error
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}
