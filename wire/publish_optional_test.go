package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptionalUserPropertiesAreLeftOutBefore5(t *testing.T) {
	own, added := UserProperty{"k", "v"}, UserProperty{"x", "y"}
	p := &Publish{Topic: "t", Properties: &PublishProperties{UserProperties: []UserProperty{added}, OptionalUserProperties: 1}}
	plain, err := (&Publish{Topic: "t"}).Append(nil, V311)
	require.NoError(t, err)
	b, err := p.Append(nil, V311)
	require.NoError(t, err)
	require.Equal(t, plain, b)
	require.Equal(t, len(b), p.Size(V311))
	b, err = p.Append(nil, V5)
	require.NoError(t, err)
	require.Contains(t, string(b), "\x26\x00\x01x\x00\x01y")
	require.Equal(t, len(b), p.Size(V5))

	p.Properties.UserProperties = []UserProperty{own, added}
	_, err = p.Append(nil, V311)
	require.ErrorContains(t, err, "needs version 5.0")
	require.Equal(t, []UserProperty{own}, p.Properties.RequiredUserProperties())
	p.Properties.OptionalUserProperties = 3
	require.Empty(t, p.Properties.RequiredUserProperties(), "more than there are")
}
