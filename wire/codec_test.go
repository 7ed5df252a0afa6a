package wire

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vectors whose fault shows only to who knows the connection are marked as the session's; they
// decode like any other. Those marked "none" are the ones that this package lets pass.
func TestVectorsDecodeToTheirFieldsOrAreRefusedWithTheirCode(t *testing.T) {
	counts := map[string]int{}
	for _, v := range vectors().Vectors {
		t.Run(v.ID, func(t *testing.T) {
			p, err := decodePacket(v.bytes(t), v.version(t), v.from())
			switch {
			case v.Judge == "none":
				counts["let pass"]++
				require.NoError(t, err, v.What)
			case v.Validity == "valid" || v.Judge == "session":
				counts[v.Validity]++
				require.NoError(t, err, v.What)
				require.Equal(t, v.packet(t), p, v.What)
			default:
				counts["refused"]++
				require.Error(t, err, v.What)
				require.Contains(t, v.codes(t), refusal(t, err), "%s: %v", v.What, err)
			}
		})
	}
	// protocol-error counts the session's.
	require.Equal(t, map[string]int{"valid": 161, "protocol-error": 36, "let pass": 6, "refused": 206}, counts)
}

func TestVectorsLetPassKeepWhatMatters(t *testing.T) {
	want := map[string]Packet{
		"v31.suback.002":   &Suback{PacketID: 10, ReasonCodes: []ReasonCode{UnspecifiedError}},
		"v311.connack.009": &Connack{ReasonCode: NotAuthorized},
		"v5.connack.025":   &Connack{ReasonCode: UnsupportedProtocolVersion},
		"v5.publish.026":   &Publish{Topic: "a/b", Payload: []byte("hi")},
	}
	seen := 0
	for _, v := range vectors().Vectors {
		if want[v.ID] == nil {
			continue
		}
		seen++
		p, err := decodePacket(v.bytes(t), v.version(t), v.from())
		require.NoError(t, err)
		require.Equal(t, want[v.ID], p, v.ID)
	}
	require.Equal(t, len(want), seen)
}

// unspoken are canonical vectors with a property whose value means the same as its absence, which is
// how Append writes it.
var unspoken = []string{"v5.connect.015", "v5.publish.011", "v5.publish.013"}

func TestCanonicalVectorsEncodeToTheirBytes(t *testing.T) {
	count := 0
	for _, v := range vectors().Vectors {
		if !v.Canonical || slices.Contains(unspoken, v.ID) {
			continue
		}
		count++
		t.Run(v.ID, func(t *testing.T) {
			p := v.packet(t)
			b, err := p.Append([]byte("kept"), v.version(t))
			require.NoError(t, err, v.What)
			require.Equal(t, append([]byte("kept"), v.bytes(t)...), b, v.What)
			require.Equal(t, len(b)-len("kept"), p.Size(v.version(t)))
		})
	}
	require.Equal(t, 144, count)
}

func TestDecodedVectorsEncodeAndDecodeToTheSame(t *testing.T) {
	for _, v := range vectors().Vectors {
		if v.Validity == "valid" {
			checkRoundTrip(t, v.bytes(t), v.version(t), v.from())
		}
	}
}

// checkRoundTrip checks that bytes which decode at all can be encoded, that Size foretells the
// result, and that it says the same as the first time. It reports whether the bytes decode.
func checkRoundTrip(t testing.TB, b []byte, v Version, from Sender) bool {
	t.Helper()
	p, err := decodePacket(b, v, from)
	if err != nil {
		refusal(t, err)
		return false
	}
	if connect, ok := p.(*Connect); ok {
		v = connect.Version
	}
	encoded, err := p.Append(nil, v)
	require.NoError(t, err, "%x", b)
	require.Equal(t, p.Size(v), len(encoded), "%x", b)
	again, err := decodePacket(encoded, v, from)
	require.NoError(t, err, "%x", encoded)
	if publish, ok := p.(*Publish); ok && again.(*Publish).Properties == nil {
		publish.Properties = nil // there were some, but they said nothing
	}
	require.Equal(t, p, again, "%x", b)
	return true
}

func TestTruncatedStreamsEndInsideAPacket(t *testing.T) {
	for _, v := range vectors().Vectors {
		if v.Validity != "valid" {
			continue
		}
		b := v.bytes(t)
		for n := range b {
			if n == 0 || v.Fill != nil && n > 20 && n < len(b)-2 {
				continue // the filling is all the same
			}
			r := NewReader(bytes.NewReader(b[:n]), v.version(t), 0)
			require.ErrorIs(t, r.Fill(), io.ErrUnexpectedEOF, "%s cut to %d", v.ID, n)
			_, _, ok, err := r.Next()
			require.NoError(t, err)
			require.False(t, ok)
		}
	}
}

// A body that is cut while its header is made to fit is refused, or is a shorter packet.
func TestTruncatedBodiesAreRefusedOrShorter(t *testing.T) {
	refused, shorter := 0, 0
	for _, v := range vectors().Vectors {
		if v.Validity != "valid" || v.Fill != nil {
			continue
		}
		_, start, err := ParseHeader(v.bytes(t), v.version(t))
		require.NoError(t, err)
		body := v.bytes(t)[start:]
		for n := range body {
			cut := append(appendVarint([]byte{v.bytes(t)[0]}, n), body[:n]...)
			if checkRoundTrip(t, cut, v.version(t), v.from()) {
				// Everything in a CONNECT has a length or a flag, but on 3.1 the flags of the last fields may lie.
				require.False(t, v.Packet == "CONNECT" && v.version(t) != V31, "%s cut to %x", v.ID, cut)
				shorter++
			} else {
				refused++
			}
		}
	}
	require.Greater(t, refused, 1800)
	require.Positive(t, shorter)
}

func TestFlippedBitsNeverBreakTheDecoder(t *testing.T) {
	decoded := 0
	for _, v := range vectors().Vectors {
		if v.Fill != nil {
			continue
		}
		b := v.bytes(t)
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			for _, from := range []Sender{FromServer, FromClient} {
				if checkRoundTrip(t, b, v.version(t), from) {
					decoded++
				}
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	require.Positive(t, decoded)
}

func TestPropertyMatrix(t *testing.T) {
	for _, row := range slices.Concat(vectors().PropertyMatrix, vectors().PropertyRepeats) {
		from := FromServer
		switch row.Packet {
		case "CONNECT", "WILL", "SUBSCRIBE", "UNSUBSCRIBE":
			from = FromClient
		case "DISCONNECT": // two properties are for one side only
			if row.Property == "0x11" {
				from = FromClient
			}
		}
		what := row.Packet + " " + row.Property + " " + row.Hex
		_, err := decodePacket(unhex(t, row.Hex), V5, from)
		if row.Allowed || row.RepeatAllowed {
			require.NoError(t, err, what)
			checkRoundTrip(t, unhex(t, row.Hex), V5, from)
			continue
		}
		require.Equal(t, parseCode(t, row.Expect), refusal(t, err), what)
	}
	require.Len(t, vectors().PropertyMatrix, 308)
	require.Len(t, vectors().PropertyRepeats, 54)
}

func TestReasonCodeMatrix(t *testing.T) {
	for _, row := range vectors().ReasonMatrix {
		for _, from := range []Sender{FromServer, FromClient} {
			if row.Sender != "either" && row.Sender != from.String() {
				continue
			}
			what := row.Packet + " " + row.Code + " from " + from.String()
			allowed := row.Allowed
			switch {
			case row.Note != "":
				allowed = true // where the specification contradicts itself
			case row.Code == "0x10" && from == FromClient:
				allowed = false // only a server knows about subscribers
			}
			_, err := decodePacket(unhex(t, row.Hex), V5, from)
			if allowed {
				require.NoError(t, err, what)
				checkRoundTrip(t, unhex(t, row.Hex), V5, from)
				continue
			}
			require.Equal(t, ProtocolError, refusal(t, err), what)
		}
	}
	require.Len(t, vectors().ReasonMatrix, 407)
}

func TestPropertiesOfOneSideAreRefusedFromTheOther(t *testing.T) {
	for _, row := range []struct {
		hex  string
		from Sender
	}{
		{"e0078b051100000000", FromServer},       // session expiry interval
		{"e00600041c000173", FromClient},         // server reference
		{"300a0003612f62020b076869", FromClient}, // subscription identifier in a PUBLISH
	} {
		_, err := decodePacket(unhex(t, row.hex), V5, row.from)
		require.Equal(t, ProtocolError, refusal(t, err), row.hex)
		_, err = decodePacket(unhex(t, row.hex), V5, 1-row.from)
		if row.hex[:4] != "e007" { // a client does not say 0x8B either
			require.NoError(t, err, row.hex)
		}
	}
}

func TestPacketsOfOneSideAreRefusedFromTheOther(t *testing.T) {
	fromClient := "100f00044d5154540502003c0000026331 82090001000003612f6200 a2080001000003612f62 c000"
	fromServer := "2003000000 900400010000 b00400010000 d000"
	for from, packets := range map[Sender]string{FromClient: fromClient, FromServer: fromServer} {
		for hex := range strings.FieldsSeq(packets) {
			_, err := decodePacket(unhex(t, hex), V5, from)
			require.NoError(t, err, hex)
			_, err = decodePacket(unhex(t, hex), V5, 1-from)
			require.Equal(t, ProtocolError, refusal(t, err), hex)
		}
	}
}
