package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A gate holds messages back by their numbers.
func TestReservedMessagesAreNumberedWhenTheyAreSubmitted(t *testing.T) {
	link := new(Link)
	s := NewSender(link, 0)
	link.Open(wire.V5, NoLimits())
	s.Start(false, time.Time{})
	var list [2]Outgoing
	for i := range list {
		list[i] = Outgoing{Durable: true, Publish: wire.Publish{Topic: "t", QoS: wire.AtLeastOnce}}
		s.Reserve(&list[i])
	}
	for i := range list {
		s.Submit(&list[i], time.Time{})
		require.Equal(t, uint64(i+1), list[i].Seq())
	}
}
