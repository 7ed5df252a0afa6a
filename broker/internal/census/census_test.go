package census

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/stretchr/testify/require"
)

func TestACensusKnowsWhoHasMost(t *testing.T) {
	w := New[string, int]()
	none, _ := w.Busiest()
	require.Nil(t, none)
	var members []*Member[string, int]
	for i := range 30 {
		for range i % 5 {
			members = append(members, w.Add(fmt.Sprint(i), i, time.Time{}))
		}
	}
	for n := len(members); n > 0; n-- {
		require.Equal(t, n, w.Len())
		most, size := w.Busiest()
		require.Equal(t, most.size, size)
		for _, p := range w.owners {
			require.LessOrEqual(t, p.size, most.size)
		}
		g := most.First()
		w.Remove(g)
		w.Remove(g)
	}
	require.Zero(t, w.top)
	require.Empty(t, w.owners)
}

func TestOneAddressOfVersion6IsANetwork(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3", "2001:db8:1:2:3::9": "2001:db8:1:2::", "fe80::1": "fe80::",
	} {
		require.Equal(t, want, AddressOf(&net.TCPAddr{IP: net.ParseIP(address)}).String())
	}
	require.Equal(t, netip.Addr{}, AddressOf(pipe.Addr{}))
}
