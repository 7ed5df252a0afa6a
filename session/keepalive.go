package session

import "time"

// keepAlive decides when to send PINGREQ and when to give up on the peer.
//
// Two kinds of silence need a PINGREQ. If we are silent, the server closes the
// connection after one and a half intervals. If the server is silent, bytes that we
// write prove nothing about a half-open connection. Any byte that arrives is a sign
// of life.
type keepAlive struct {
	interval time.Duration // 0: off
	timeout  time.Duration // how long an answer may take
	sent     time.Time     // end of the last write
	received time.Time     // the last sign of life
	ping     pingState
	pinged   time.Time // when the PINGREQ was queued, then when it was written
	delayed  time.Time // when it was last seen on its way
}

type pingState uint8

const (
	pingNone   pingState = iota
	pingQueued           // it waits behind other bytes, which may be being written
	pingTaken            // the writer has taken it
	pingSent
)

// newKeepAlive takes the interval in force. Pings go out a tenth early, so that
// the gap between two packets stays within it [MQTT-3.1.2-20] although timers
// are late.
func newKeepAlive(interval, timeout time.Duration, now time.Time) keepAlive {
	if timeout <= 0 {
		timeout = interval / 2
	}
	return keepAlive{interval: interval - interval/10, timeout: min(timeout, interval), sent: now, received: now}
}

func (k *keepAlive) alive(now time.Time) {
	if now.After(k.received) {
		k.received = now
	}
	// The answer may be read before the writer reports the end of its write.
	if k.ping >= pingTaken && !k.received.Before(k.pinged) {
		k.ping = pingNone
	}
}

// begin notes that a PINGREQ is queued at now.
func (k *keepAlive) begin(now time.Time) { k.ping, k.pinged = pingQueued, now }

// answered notes that PINGRESP came. alive has not seen it for an answer where the writer
// took its time.
func (k *keepAlive) answered() {
	if k.ping >= pingTaken {
		k.ping = pingNone
	}
}

func (k *keepAlive) taken() {
	if k.ping == pingQueued {
		k.ping = pingTaken
	}
}

func (k *keepAlive) wrote(now time.Time) {
	k.sent = now
	if k.ping == pingTaken {
		k.ping, k.pinged = pingSent, now
	}
}

// delay starts the time for the answer anew. It leaves pinged alone, because an
// answer that is being read now must still count.
func (k *keepAlive) delay(now time.Time) { k.delayed = now }

// deadline returns when tick has to be called; zero: never.
func (k *keepAlive) deadline() time.Time {
	switch {
	case k.interval == 0:
		return time.Time{}
	case k.ping != pingNone:
		from := k.pinged
		if k.delayed.After(from) {
			from = k.delayed
		}
		return from.Add(k.timeout)
	case k.received.Before(k.sent):
		return k.received.Add(k.interval)
	}
	return k.sent.Add(k.interval)
}

// tick reports whether a PINGREQ is to be sent now.
func (k *keepAlive) tick(now time.Time) (send bool, err error) {
	due := k.deadline()
	if due.IsZero() || now.Before(due) {
		return false, nil
	}
	switch k.ping {
	case pingSent:
		// [MQTT-3.12.4-1] the answer did not come in a reasonable time.
		return false, ErrKeepAlive
	case pingQueued, pingTaken:
		// It waits behind other bytes. The writer has to see that those get out.
		k.pinged = now
		return false, nil
	}
	k.begin(now)
	return true, nil
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
