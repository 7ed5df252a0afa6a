package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAliasedPublishIsThatWithTheProperty(t *testing.T) {
	for _, p := range []Publish{
		{Topic: "a/b", Payload: []byte("x")},
		{Topic: "a/b", Retain: true, QoS: ExactlyOnce, PacketID: 7, Payload: make([]byte, 200)},
		{Topic: "a/b", Properties: &PublishProperties{ContentType: "text", UserProperties: []UserProperty{{"a", "b"}}}},
	} {
		for _, known := range []bool{false, true} {
			want, properties := p, PublishProperties{}
			if p.Properties != nil {
				properties = *p.Properties
			}
			properties.TopicAlias = 0x0203
			want.Properties = &properties
			if known {
				want.Topic = ""
			}
			wanted, err := want.Append([]byte("before"), V5)
			require.NoError(t, err)
			got, err := p.AppendAliased([]byte("before"), 0x0203, known)
			require.NoError(t, err)
			require.Equal(t, wanted, got)
			requireNoAllocations(t, "AppendAliased", func() { got, _ = p.AppendAliased(got[:0], 0x0203, known) })
		}
	}
}

func TestAliasedPublishThatCanNotBeEncoded(t *testing.T) {
	for field, p := range map[string]*Publish{
		"QoS":      {Topic: "a", QoS: 3},
		"Topic":    {},
		"PacketID": {Topic: "a", QoS: AtLeastOnce},
		"Payload":  {Topic: "a", Payload: make([]byte, MaxRemainingLength-4)},
	} {
		b, err := p.AppendAliased(nil, 1, false)
		var refused *FieldError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Field)
		require.Empty(t, b)
	}
	_, err := (&Publish{Topic: "a"}).AppendAliased(nil, 0, false)
	require.ErrorContains(t, err, "TopicAlias is 0")
}
