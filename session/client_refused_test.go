package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// badPublish is a PUBLISH with a topic that is not UTF-8.
func badPublish(v wire.Version, qos wire.QoS, id uint16) []byte {
	body := []byte{0, 3, 'a', 0xe7, 'b'}
	if qos > 0 {
		body = append(body, byte(id>>8), byte(id))
	}
	if v == wire.V5 {
		body = append(body, 0)
	}
	return append([]byte{0x30 | byte(qos)<<1, byte(len(body))}, body...)
}

func TestRefusedMessageIsDroppedInTheEnd(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for qos := wire.AtMostOnce; qos <= wire.ExactlyOnce; qos++ {
			s := newScript(t, v, ClientSettings{})
			mine := s.publish("mine", 1)
			for range refusedAfter {
				s.up(keeping(v), &wire.Connack{SessionPresent: v != wire.V31 && s.c.HasSessionOf("c1")})
				require.False(t, s.c.Tolerant())
				s.skip()
				require.ErrorIs(t, s.receive(badPublish(v, qos, 5)), wire.MalformedPacket)
				s.lose()
			}
			s.up(keeping(v), &wire.Connack{SessionPresent: v != wire.V31})
			require.True(t, s.c.Tolerant())
			s.skip()
			require.NoError(t, s.receive(badPublish(v, qos, 5)))
			switch {
			case qos == wire.AtMostOnce:
			case v < wire.V5 && qos == wire.AtLeastOnce:
				s.want(puback(5))
			case qos == wire.AtLeastOnce:
				s.want(&wire.Puback{PacketID: 5, ReasonCode: wire.TopicNameInvalid})
			case v < wire.V5:
				s.want(pubrec(5))
				s.send(pubrel(5))
				s.want(pubcomp(5))
			default:
				s.want(&wire.Pubrec{PacketID: 5, ReasonCode: wire.TopicNameInvalid})
			}
			s.wantIdle()
			list := s.c.Refused(nil)
			require.Len(t, list, 1)
			require.Equal(t, "a\xe7b", list[0].Topic)
			require.ErrorIs(t, list[0].Err, wire.MalformedPacket)
			require.Empty(t, s.c.Refused(nil))
			require.Zero(t, s.c.Receiver.Unfinished())
			s.send(puback(mine.Publish.PacketID))
			s.wantCompleted(mine)

			s.resume() // it came and was dropped on the last: that is still so
			require.True(t, s.c.Tolerant())
			s.send(pub(6, 1, "good"))
			s.ack(s.wantMessages("good")...)
			s.skip()
			s.resume()
			require.False(t, s.c.Tolerant(), "it has stopped")
		}
	})
}

func TestRefusedMessageBlamesNoMessage(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.publish("mine", 1)
	for range refusedAfter {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		s.skip()
		require.Error(t, s.receive(badPublish(s.v, 1, 5)))
		s.c.LostBecause(s.c.fault, s.now)
	}
	require.Equal(t, blames{}, s.c.Sender.published.head.blames)
}

func TestUnreadableMessageIsOverlooked(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{})
	for range refusedAfter {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		require.Error(t, s.receive([]byte{0x32, 3, 0, 9, 'a'}))
		s.lose()
	}
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	require.NoError(t, s.receive([]byte{0x32, 3, 0, 9, 'a'}))
	s.send(pub(1, 1, "good"))
	s.ack(s.wantMessages("good")...)
	s.want(puback(1))
}
