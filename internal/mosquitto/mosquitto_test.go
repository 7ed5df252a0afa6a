package mosquitto

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Packets of MQTT 3.1.1, but for the ones named 5.
const (
	connectClean    = "100d 0004 4d515454 04 02 0000 0001 61"
	connackNew      = "2002 00 00"
	connackResumed  = "2002 01 00"
	connackRefused  = "2002 00 05"
	subscribe       = "8206 0001 0001 74 01"
	suback          = "9003 0001 01"
	publishRetained = "3109 0001 74 62616e616e61"
	pingreq         = "c000"
	pingresp        = "d000"
)

// peer is a client's connection that a test speaks on byte by byte.
type peer struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, network, addr string) *peer {
	t.Helper()
	c, err := net.Dial(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return &peer{t, c}
}

func (p *peer) send(packet string) {
	p.t.Helper()
	_, err := p.Write(unhex(p.t, packet))
	require.NoError(p.t, err)
}

func (p *peer) want(packet string) {
	p.t.Helper()
	expected := unhex(p.t, packet)
	got := make([]byte, len(expected))
	_, err := io.ReadFull(p, got)
	require.NoError(p.t, err)
	require.Equal(p.t, hex.EncodeToString(expected), hex.EncodeToString(got))
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

func TestStopAndRestartKeepARetainedMessage(t *testing.T) {
	s := Start(t, Options{Persistence: true})
	require.Equal(t, "mqtt://"+s.Addr(), s.URL())
	c := dial(t, "tcp", s.Addr())
	c.send(connectClean)
	c.want(connackNew)
	c.send(publishRetained)
	c.send(pingreq)
	c.want(pingresp)

	s.Stop()
	_, err := net.Dial("tcp", s.Addr())
	require.Error(t, err)
	s.Restart()

	c = dial(t, "tcp", s.Addr())
	c.send(connectClean)
	c.want(connackNew)
	c.send(subscribe)
	c.want(suback)
	c.want(publishRetained)
	require.Equal(t, 2, strings.Count(s.Log(), " as a ("), s.Log())
}

func TestKillKeepsWhatWasSaved(t *testing.T) {
	for name, test := range map[string]struct {
		opts Options
		save bool
		kept bool
	}{
		"saved":     {opts: Options{Persistence: true}, save: true, kept: true},
		"not saved": {opts: Options{Persistence: true}},
		// The answer to the ping comes from a later round of the event loop.
		"autosave": {opts: Options{Autosave: true}, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, test.opts)
			c := dial(t, "tcp", s.Addr())
			c.send(connectClean)
			c.want(connackNew)
			c.send(publishRetained)
			c.send(pingreq)
			c.want(pingresp)
			if test.save {
				require.NoError(t, s.Save(t.Context()))
			}
			s.Kill()
			require.ErrorIs(t, s.Save(t.Context()), ErrNotSaved)
			s.Restart()

			c = dial(t, "tcp", s.Addr())
			c.send(connectClean)
			c.want(connackNew)
			c.send(subscribe)
			c.want(suback)
			if test.kept {
				c.want(publishRetained)
			}
			c.send(pingreq)
			c.want(pingresp)
		})
	}
}

func TestConcurrentSavesShareTheWork(t *testing.T) {
	s := Start(t, Options{Persistence: true})
	var savers sync.WaitGroup
	for range 20 {
		savers.Go(func() {
			for range 20 {
				if err := s.Save(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	savers.Wait()
}

// Mosquitto 2.0.11 drops such sessions although their expiry interval has not
// passed; the package comment warns of it.
func TestSessionsThatSurviveARestart(t *testing.T) {
	for name, test := range map[string]struct{ first, again, answer string }{
		"MQTT 3.1.1, clean session 0": {
			first:  "100d 0004 4d515454 04 00 0000 0001 61",
			again:  "100d 0004 4d515454 04 00 0000 0001 61",
			answer: connackResumed,
		},
		"MQTT 5, clean start 0 with an expiry interval": {
			first:  "1013 0004 4d515454 05 00 0000 05 11 00000e10 0001 61",
			again:  "1013 0004 4d515454 05 00 0000 05 11 00000e10 0001 61",
			answer: "20 09 01 00",
		},
		"MQTT 5, clean start 1 with an expiry interval": {
			first:  "1013 0004 4d515454 05 02 0000 05 11 00000e10 0001 61",
			again:  "1013 0004 4d515454 05 00 0000 05 11 00000e10 0001 61",
			answer: "20 09 00 00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, Options{Persistence: true})
			c := dial(t, "tcp", s.Addr())
			c.send(test.first)
			c.want("20")
			require.NoError(t, s.Save(t.Context()))
			s.Kill()
			s.Restart()
			c = dial(t, "tcp", s.Addr())
			c.send(test.again)
			c.want(test.answer)
		})
	}
}

func TestTLSDemandsAClientCertificate(t *testing.T) {
	s := Start(t, Options{TLS: true})
	require.Equal(t, "mqtts://"+s.TLSAddr(), s.TLSURL())
	talk := func(config *tls.Config) (string, error) {
		c, err := tls.Dial("tcp", s.TLSAddr(), config)
		if err != nil {
			return "", err
		}
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		if _, err = c.Write(unhex(t, connectClean)); err != nil {
			return "", err
		}
		got := make([]byte, 4)
		_, err = io.ReadFull(c, got)
		return hex.EncodeToString(got), err
	}

	got, err := talk(s.ClientTLS())
	require.NoError(t, err)
	require.Equal(t, "20020000", got)

	without := s.ClientTLS()
	without.Certificates = nil
	_, err = talk(without)
	alert, ok := errors.AsType[tls.AlertError](err)
	if ok {
		require.Contains(t, alert.Error(), "certificate required")
	}
	require.Error(t, err)
}

func TestUsers(t *testing.T) {
	s := Start(t, Options{Users: map[string]string{"u": "secret"}})
	for password, answer := range map[string]string{"736563726574": connackNew, "77726f6e6721": connackRefused} {
		c := dial(t, "tcp", s.Addr())
		c.send("1018 0004 4d515454 04 c2 0000 0001 61 0001 75 0006" + password)
		c.want(answer)
	}
}

func TestUnixSocketSurvivesKill(t *testing.T) {
	s := Start(t, Options{Unix: true})
	require.Equal(t, "unix://"+s.UnixPath(), s.UnixURL())
	for range 2 {
		c := dial(t, "unix", s.UnixPath())
		c.send(connectClean)
		c.want(connackNew)
		s.Kill()
		s.Restart()
	}
}

func TestPauseIsSilence(t *testing.T) {
	s := Start(t, Options{})
	c := dial(t, "tcp", s.Addr())
	c.send(connectClean)
	c.want(connackNew)
	s.Pause()
	c.send(pingreq)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	timeout, ok := errors.AsType[net.Error](err)
	require.True(t, ok && timeout.Timeout(), "got %v", err)

	s.Resume()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	c.want(pingresp)
	s.Pause() // the end of the test must end a paused server too
}

func TestConfigLinesAreForTheTCPListener(t *testing.T) {
	s := Start(t, Options{TLS: true, Unix: true, Config: []string{"mount_point jungle/", "log_type all"}})
	c := dial(t, "tcp", s.Addr())
	c.send(connectClean)
	c.want(connackNew)
	c.send(subscribe)
	c.want(suback)
	require.Contains(t, s.Log(), "jungle/t")
}

func TestDurableLosesNothingThatItAcknowledged(t *testing.T) {
	const (
		messages = 3000
		window   = 100
		kills    = 5
	)
	s := Start(t, Options{Durable: true})
	sub := dial(t, "tcp", s.Addr())
	sub.send("100d 0004 4d515454 04 00 0000 0001 73")
	sub.want(connackNew)
	sub.send(subscribe)
	sub.want(suback)
	sub.Close()

	// publish sends what is not acknowledged yet until the connection breaks; it
	// returns how many messages, counted from the first, are acknowledged.
	publish := func(acked int, progress chan<- int) int {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			return acked
		}
		defer c.Close()
		in := bufio.NewReader(c)
		if _, err = c.Write(unhex(t, connectClean)); err != nil {
			return acked
		}
		if _, err = io.ReadFull(in, make([]byte, 4)); err != nil {
			return acked
		}
		for sent := acked; acked < messages; {
			for ; sent < min(acked+window, messages); sent++ {
				packet := binary.BigEndian.AppendUint16([]byte("\x32\x0a\x00\x01t"), uint16(sent+1))
				packet = fmt.Appendf(packet, "%05d", sent)
				if _, err = c.Write(packet); err != nil {
					return acked
				}
			}
			puback := make([]byte, 4)
			if _, err = io.ReadFull(in, puback); err != nil {
				return acked
			}
			if got := int(binary.BigEndian.Uint16(puback[2:])); got != acked+1 {
				t.Errorf("PUBACK %d after %d", got, acked)
				return acked
			}
			acked++
			progress <- acked
		}
		return acked
	}

	progress := make(chan int, messages)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for acked := 0; acked < messages && !t.Failed(); {
			acked = publish(acked, progress)
		}
		close(progress)
	})
	killed := 0
	for acked := range progress {
		if acked >= (killed+1)*messages/(kills+1) && killed < kills {
			s.Kill() // the publisher goes on meanwhile, so this is anywhere
			s.Restart()
			killed++
		}
	}
	publisher.Wait()
	require.Equal(t, kills, killed)

	sub = dial(t, "tcp", s.Addr())
	sub.send("100d 0004 4d515454 04 00 0000 0001 73")
	sub.want(connackResumed)
	in := bufio.NewReader(sub)
	seen := map[string]bool{}
	for len(seen) < messages {
		packet := make([]byte, 12)
		_, err := io.ReadFull(in, packet)
		require.NoError(t, err, "%d of %d messages arrived", len(seen), messages)
		seen[string(packet[7:])] = true
		_, err = sub.Write([]byte{0x40, 2, packet[5], packet[6]})
		require.NoError(t, err)
	}
}

func TestMissingServerSkipsOrFails(t *testing.T) {
	defer func(before []string) { programs = before }(programs)
	programs = []string{"/nowhere/mosquitto"}
	const message = "needs Mosquitto: apt-get install mosquitto"

	t.Setenv("MQTT_REQUIRE_SERVERS", "")
	require.Equal(t, verdict{skipped: message}, judge(t))
	t.Setenv("MQTT_REQUIRE_SERVERS", "1")
	require.Equal(t, verdict{failed: "MQTT_REQUIRE_SERVERS is set: " + message}, judge(t))
}

func TestSaveNeedsPersistence(t *testing.T) {
	require.ErrorContains(t, Start(t, Options{}).Save(t.Context()), "Persistence")
}

// verdict is how Start ended a test.
type verdict struct{ skipped, failed string }

// judge calls Start for a test that only notes how it is ended.
func judge(t *testing.T) verdict {
	s := &subject{TB: t}
	var run sync.WaitGroup
	run.Go(func() { Start(s, Options{}) })
	run.Wait()
	return s.verdict
}

type subject struct {
	testing.TB
	verdict verdict
}

func (s *subject) Skip(args ...any) {
	s.verdict.skipped = strings.TrimSpace(fmt.Sprintln(args...))
	runtime.Goexit()
}

func (s *subject) Fatal(args ...any) {
	s.verdict.failed = strings.TrimSpace(fmt.Sprintln(args...))
	runtime.Goexit()
}
