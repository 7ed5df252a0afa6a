package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// stream is all valid packets of a server in one version, but for two that are larger than all others together.
func stream(t testing.TB, v Version) (b []byte, packets [][]byte) {
	for _, vector := range vectors().Vectors {
		large := vector.Fill != nil && vector.Fill.Count > 1<<20
		if vector.Validity == "valid" && vector.version(t) == v && vector.from() == FromServer && !large {
			packets = append(packets, vector.bytes(t))
			b = append(b, vector.bytes(t)...)
		}
	}
	return b, packets
}

func TestReaderFindsTheSamePacketsHoweverTheyArrive(t *testing.T) {
	for _, v := range []Version{V31, V311, V5} {
		b, packets := stream(t, v)
		for name, source := range map[string]io.Reader{
			"at once":         bytes.NewReader(b),
			"byte by byte":    iotest.OneByteReader(bytes.NewReader(b)),
			"in halves":       iotest.HalfReader(bytes.NewReader(b)),
			"end with data":   iotest.DataErrReader(bytes.NewReader(b)),
			"in small pieces": &pieces{b: b, sizes: []int{1, 2, 3, 4096, 5, 70000, 7}},
		} {
			r := NewReader(source, v, 0)
			for i, want := range packets {
				h, body, err := r.ReadPacket()
				require.NoError(t, err, "%s, packet %d", name, i)
				require.Equal(t, len(want), h.Size)
				require.True(t, bytes.Equal(want[h.Size-h.Length:], body), "%s, packet %d", name, i)
			}
			_, _, err := r.ReadPacket()
			require.Equal(t, io.EOF, err, name)
		}
	}
}

func TestReaderPutsALargePacketTogether(t *testing.T) {
	for _, v := range vectors().Vectors {
		if v.Fill == nil {
			continue
		}
		b := append([]byte{0xd0, 0}, v.bytes(t)...)
		r := NewReader(&pieces{b: append(b, 0xd0, 0), sizes: []int{1, 70000, 3}}, V5, 0)
		for _, want := range [][]byte{{}, v.bytes(t), {}} {
			h, body, err := r.ReadPacket()
			require.NoError(t, err)
			if len(want) > 0 {
				want = want[h.Size-h.Length:]
			}
			require.True(t, bytes.Equal(want, body))
		}
	}
}

// pieces is a source that returns pieces of the given sizes in turn, and nothing now and then.
type pieces struct {
	b     []byte
	sizes []int
	turn  int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	p.turn++
	if p.turn%5 == 0 {
		return 0, nil
	}
	n := copy(b, p.b[:min(len(p.b), p.sizes[p.turn%len(p.sizes)])])
	p.b = p.b[n:]
	return n, nil
}

func TestReaderGivesTheWholePacketsBeforeABadHeader(t *testing.T) {
	for _, v := range vectors().Vectors {
		b := v.bytes(t)
		_, _, want := ParseHeader(b, v.version(t))
		if want == nil {
			continue
		}
		r := NewReader(bytes.NewReader(append([]byte{0xd0, 0, 0xd0, 0}, b...)), v.version(t), 0)
		for range 2 {
			require.NoError(t, r.Fill(), v.ID)
			h, body, ok, err := r.Next()
			require.NoError(t, err, v.ID)
			require.True(t, ok)
			require.Empty(t, body)
			require.Equal(t, TypePingresp, h.Type)
		}
		_, _, ok, err := r.Next()
		require.False(t, ok)
		require.Equal(t, want, err, v.ID)
		require.Equal(t, want, r.Fill(), v.ID)
	}
}

func TestReaderRefusesALengthWithoutWaitingForMore(t *testing.T) {
	source, feed := io.Pipe()
	defer feed.Close()
	go feed.Write([]byte{0xd0, 0x80, 0x80, 0x80, 0x80}) //nolint:errcheck // ends with the pipe
	r := NewReader(source, V5, 0)
	require.ErrorIs(t, r.Fill(), MalformedPacket)
}

func TestReaderRefusesALargePacketByItsHeader(t *testing.T) {
	exact := append([]byte{0x30, 98}, make([]byte, 98)...)
	r := NewReader(bytes.NewReader(exact), V5, 100)
	_, body, err := r.ReadPacket()
	require.NoError(t, err)
	require.Len(t, body, 98)

	r = NewReader(bytes.NewReader([]byte{0x30, 99}), V5, 100)
	_, _, err = r.ReadPacket()
	require.Equal(t, PacketTooLarge, refusal(t, err))

	r.SetMaxPacketSize(101)
	require.Equal(t, io.ErrUnexpectedEOF, r.Fill(), "the header is fine now")
}

func TestReaderTakesTheVersionFromTheNextPacketOn(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte{0xd0, 0x80, 0, 0xd0, 0x80, 0}), V311, 0)
	h, _, err := r.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, Header{Type: TypePingresp, Size: 3}, h)
	r.SetVersion(V5)
	_, _, err = r.ReadPacket()
	require.Equal(t, MalformedPacket, refusal(t, err))
}

// A length that is only claimed must not cost memory.
func TestReaderAllocatesForWhatArrivesOnly(t *testing.T) {
	claimed := append([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 5)...)
	require.Less(t, allocated(func() {
		r := NewReader(bytes.NewReader(claimed), V5, 0)
		require.Equal(t, io.ErrUnexpectedEOF, r.Fill())
	}), uint64(16<<10))
	require.Less(t, allocated(func() {
		r := NewReader(bytes.NewReader(claimed), V5, 1<<20)
		require.ErrorIs(t, r.Fill(), PacketTooLarge)
	}), uint64(16<<10))

	more := append(claimed, make([]byte, 1<<20)...)
	require.Less(t, allocated(func() {
		r := NewReader(bytes.NewReader(more), V5, 0)
		require.Equal(t, io.ErrUnexpectedEOF, r.Fill())
	}), uint64(5<<20))
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestReaderShrinksWhenLittleArrives(t *testing.T) {
	large := append([]byte{0x30}, appendVarint(nil, 300_000)...)
	large = append(large, make([]byte, 300_000)...)
	flood := bytes.Repeat([]byte{0xd0, 0}, 100_000)
	for _, b := range [][]byte{large, flood} {
		source := io.MultiReader(bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader([]byte{0xd0, 0, 0xd0, 0})))
		r := NewReader(source, V5, 0)
		largest := 0
		for {
			_, _, err := r.ReadPacket()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			largest = max(largest, len(r.buffer.b))
		}
		require.GreaterOrEqual(t, largest, largeBuffer)
		require.LessOrEqual(t, largest, max(largeBuffer, len(b)), "never beyond the packet")
		require.Len(t, r.buffer.b, smallBuffer)
		require.Nil(t, r.buffer.borrowed)
	}
}

func TestReaderReadsOncePerFill(t *testing.T) {
	const all = firstBuffer/2 - 1 // in one read
	source := &countingReader{b: bytes.Repeat([]byte{0xd0, 0}, all)}
	r := NewReader(source, V5, 0)
	packets := 0
	for range 3 {
		require.NoError(t, r.Fill())
		require.NoError(t, r.Fill(), "does not read while there is a packet")
		require.Equal(t, 1, source.reads)
		_, _, ok, err := r.Next()
		require.NoError(t, err)
		require.True(t, ok)
		packets++
	}
	for {
		_, _, ok, err := r.Next()
		require.NoError(t, err)
		if !ok {
			break
		}
		packets++
	}
	require.Equal(t, all, packets)
	require.Equal(t, 1, source.reads)
	require.Equal(t, io.EOF, r.Fill())
}

type countingReader struct {
	b     []byte
	reads int
}

func (r *countingReader) Read(b []byte) (int, error) {
	r.reads++
	n := copy(b, r.b)
	if r.b = r.b[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestReaderReportsTheErrorOfItsSourceAndGoesOn(t *testing.T) {
	source := iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader([]byte{0xd0, 0, 0xd0, 0})))
	r := NewReader(source, V5, 0)
	require.ErrorIs(t, r.Fill(), iotest.ErrTimeout)
	require.NoError(t, r.Fill())

	closed := iotest.ErrReader(os.ErrClosed)
	r = NewReader(io.MultiReader(bytes.NewReader([]byte{0xd0}), closed), V5, 0)
	require.ErrorIs(t, r.Fill(), os.ErrClosed)

	r = NewReader(silent{}, V5, 0)
	require.Equal(t, io.ErrNoProgress, r.Fill())
	require.False(t, errors.Is(r.Fill(), io.EOF))
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestDetachedBodiesStayWhileTheReaderGoesOn(t *testing.T) {
	var sent []byte
	const packets, size = 2000, 200
	for i := range packets {
		p := Publish{Topic: "a", Payload: bytes.Repeat([]byte{byte(i)}, size-i%7)}
		sent, _ = p.Append(sent, V311)
	}
	r := NewReader(&pieces{b: sent, sizes: []int{1024, 1024, 30000, 64 << 10}}, V311, 0)
	var bodies [][]byte
	var buffers []Buffer
	for r.Fill() == nil {
		var kept [][]byte
		for {
			_, body, ok, err := r.Next()
			require.NoError(t, err)
			if !ok {
				break
			}
			kept = append(kept, body)
		}
		b, ok := r.Detach()
		_, twice := r.Detach()
		require.False(t, twice, "a buffer is given away once")
		for _, body := range kept {
			if !ok {
				body = bytes.Clone(body)
			}
			bodies = append(bodies, body)
		}
		if ok {
			require.Equal(t, 64<<10, b.Size())
			buffers = append(buffers, b)
		}
	}
	require.Len(t, bodies, packets)
	require.Greater(t, len(buffers), 3)
	for i, body := range bodies {
		require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, size-i%7), body[3:]), "packet %d", i)
	}
	for _, b := range buffers {
		b.Release()
	}
}

func TestDetachGivesAwayTheBufferOfALargePacket(t *testing.T) {
	large := Publish{Topic: "a", Payload: bytes.Repeat([]byte("x"), 200_000)}
	sent, err := large.Append(nil, V311)
	require.NoError(t, err)
	small := Publish{Topic: "b", Payload: []byte("next")}
	sent, err = small.Append(sent, V311)
	require.NoError(t, err)
	r := NewReader(bytes.NewReader(sent), V311, 0)
	_, body, err := r.ReadPacket()
	require.NoError(t, err)
	b, ok := r.Detach()
	require.True(t, ok)
	require.GreaterOrEqual(t, b.Size(), len(body))
	_, next, err := r.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, "next", string(next[3:]))
	require.Equal(t, large.Payload, body[3:])
	b.Release()
}

func TestBufferThatHoldsHalfAPacketIsNotUsedElsewhere(t *testing.T) {
	var sent []byte
	const packets, size = 2000, 200
	for i := range packets {
		p := Publish{Topic: "a", Payload: bytes.Repeat([]byte{byte(i)}, size)}
		sent, _ = p.Append(sent, V311)
	}
	// Everything that another connection gets from the pool is overwritten.
	overwrite := func() {
		for range 4 {
			clear(largeBuffers.Get().(*[largeBuffer]byte)[:])
		}
	}
	r := NewReader(&pieces{b: sent, sizes: []int{1024, 1024, 30000, 64 << 10}}, V311, 0)
	var before Buffer // still in use
	var lent bool
	n := 0
	for r.Fill() == nil {
		for {
			_, body, ok, err := r.Next()
			require.NoError(t, err)
			if !ok {
				break
			}
			require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(n)}, size), body[3:]), "packet %d", n)
			n++
		}
		latest, ok := r.Detach()
		if lent && ok {
			latest.Release()
			before.Release()
			overwrite()
		}
		if lent = ok && !lent; lent {
			before = latest
		}
	}
	require.Equal(t, packets, n)
}

// largeOnes returns packets of about size bytes, each filled with its number.
func largeOnes(t *testing.T, n, size int) (sent []byte) {
	for i := range n {
		p := Publish{Topic: "a", Payload: bytes.Repeat([]byte{byte(i)}, size+i%3)}
		var err error
		sent, err = p.Append(sent, V311)
		require.NoError(t, err)
	}
	return sent
}

func TestBufferOfALargePacketIsNotUsedAgainBeforeItsRelease(t *testing.T) {
	const packets, size = 60, 300_000
	r := NewReader(bytes.NewReader(largeOnes(t, packets, size)), V311, 0)
	type lent struct {
		body   []byte
		buffer Buffer
	}
	var out []lent
	check := func(l lent, i int) {
		require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, size+i%3), l.body[3:]), "packet %d", i)
	}
	for i := range packets {
		_, body, err := r.ReadPacket()
		require.NoError(t, err)
		b, ok := r.Detach()
		require.True(t, ok)
		if out = append(out, lent{body, b}); len(out)%2 == 0 {
			check(out[i-1], i-1)
			b.Release()
			out[i] = lent{}
		}
	}
	for i, l := range out {
		if l.body != nil {
			check(l, i)
		}
	}
}

func TestBufferThatIsUsedAgainIsHardlyLargerThanItsPacket(t *testing.T) {
	for range 10 {
		recycle(make([]byte, 1_000_000))
		for _, n := range []int{540_000, 888_000, 900_000, 999_999, 1_000_001, 2_000_000} {
			b := makeBuffer(n)
			require.Len(t, b, n)
			require.LessOrEqual(t, cap(b), n+n/8)
		}
	}
}
