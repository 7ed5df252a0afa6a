package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatCanNotBeEncodedIsRefused(t *testing.T) {
	const filter = "a/b"
	long := strings.Repeat("x", maxField+1)
	filters := []SubscribeFilter{{Filter: filter}}
	codes := []ReasonCode{Success}
	for _, row := range []struct {
		field   string
		version Version
		packet  Packet
	}{
		{"QoS", V5, &Publish{Topic: "a", QoS: 3, PacketID: 1}},
		{"PacketID", V5, &Publish{Topic: "a", QoS: AtLeastOnce}},
		{"PacketID", V311, &Publish{Topic: "a", PacketID: 1}},
		{"Duplicate", V5, &Publish{Topic: "a", Duplicate: true}},
		{"Topic", V5, &Publish{}},
		{"Topic", V311, &Publish{Topic: long}},
		{"Payload", V311, &Publish{Topic: "a", Payload: make([]byte, MaxRemainingLength-2)}},
		{"Properties", V311, &Publish{Topic: "a", Properties: &PublishProperties{ContentType: "t"}}},
		{"Subscription Identifier", V5, &Publish{Topic: "a", Properties: &PublishProperties{SubscriptionIDs: []uint32{0}}}},
		{"Subscription Identifier", V5, &Publish{Topic: "a", Properties: &PublishProperties{SubscriptionIDs: []uint32{1 << 28}}}},
		{"Response Topic", V5, &Publish{Topic: "a", Properties: &PublishProperties{ResponseTopic: "r/#"}}},
		{"Content Type", V5, &Publish{Topic: "a", Properties: &PublishProperties{ContentType: "\xff"}}},
		{"Content Type", V5, &Publish{Topic: "a", Properties: &PublishProperties{ContentType: "a\x00"}}},
		{"Correlation Data", V5, &Publish{Topic: "a", Properties: &PublishProperties{CorrelationData: make([]byte, maxField+1)}}},
		{"User Property name", V5, &Publish{Topic: "a", Properties: &PublishProperties{UserProperties: []UserProperty{{"\xff", ""}}}}},
		{"User Property value", V5, &Puback{PacketID: 1, UserProperties: []UserProperty{{"", "\xed\xa0\x80"}}}},

		{"PacketID", V311, &Puback{}},
		{"PacketID", V5, &Pubrel{ReasonString: "s"}},
		{"ReasonCode", V5, &Puback{PacketID: 1, ReasonCode: PacketIdentifierNotFound}},
		{"ReasonCode", V5, &Pubrel{PacketID: 1, ReasonCode: QuotaExceeded, ReasonString: "s"}},
		{"Reason String", V5, &Pubrec{PacketID: 1, ReasonString: long}},

		{"Version", 0, &Connect{}},
		{"Bridge", V5, &Connect{Bridge: true}},
		{"ClientID", V31, &Connect{CleanStart: true}},
		{"ClientID", V311, &Connect{}},
		{"ClientID", V5, &Connect{ClientID: "\xff"}},
		{"Password", V311, &Connect{ClientID: "c", Password: []byte{}}},
		{"Password", V5, &Connect{Password: make([]byte, maxField+1)}},
		{"Username", V5, &Connect{Username: new("a\x00")}},
		{"AuthenticationData", V5, &Connect{AuthenticationData: []byte{}}},
		{"a property", V311, &Connect{ClientID: "c", SessionExpiryInterval: 1}},
		{"a property of Will", V311, &Connect{ClientID: "c", Will: &Will{Topic: "w", DelayInterval: 1}}},
		{"Will.QoS", V5, &Connect{Will: &Will{Topic: "w", QoS: 3}}},
		{"Will.Topic", V5, &Connect{Will: &Will{}}},
		{"Will.Topic", V311, &Connect{ClientID: "c", Will: &Will{Topic: "a/#"}}},
		{"Will.Payload", V5, &Connect{Will: &Will{Topic: "w", Payload: make([]byte, maxField+1)}}},

		{"SessionPresent", V5, &Connack{SessionPresent: true, ReasonCode: NotAuthorized}},
		{"ReasonCode", V5, &Connack{ReasonCode: SessionTakenOver}},
		{"ReasonCode", V311, &Connack{ReasonCode: UseAnotherServer}},
		{"MaximumQoS", V5, &Connack{MaximumQoS: new(ExactlyOnce)}},
		{"AuthenticationData", V5, &Connack{AuthenticationData: []byte{1}}},

		{"PacketID", V311, &Subscribe{Filters: filters}},
		{"Filters", V5, &Subscribe{PacketID: 1}},
		{"Filter", V5, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "a#"}}}},
		{"Filter", V311, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: ""}}}},
		{"Filter", V5, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "\xff"}}}},
		{"QoS", V5, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: filter, QoS: 3}}}},
		{"RetainHandling", V5, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: filter, RetainHandling: 3}}}},
		{"NoLocal", V5, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "$share/g/a", NoLocal: true}}}},
		{"NoLocal, RetainAsPublished or RetainHandling", V311, &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: filter, RetainHandling: 1}}}},
		{"SubscriptionID", V311, &Subscribe{PacketID: 1, Filters: filters, SubscriptionID: 1}},
		{"Subscription Identifier", V5, &Subscribe{PacketID: 1, Filters: filters, SubscriptionID: 1 << 28}},
		{"UserProperties", V311, &Unsubscribe{PacketID: 1, Filters: []string{filter}, UserProperties: []UserProperty{{}}}},
		{"Filters", V5, &Unsubscribe{PacketID: 1}},
		{"ReasonCodes", V5, &Suback{PacketID: 1}},
		{"ReasonCodes", V5, &Unsuback{PacketID: 1}},
		{"ReasonCode", V5, &Unsuback{PacketID: 1, ReasonCodes: []ReasonCode{GrantedQoS1}}},
		{"ReasonCode", V311, &Suback{PacketID: 1, ReasonCodes: []ReasonCode{NoSubscriptionExisted}}},
		{"PacketID", V5, &Suback{ReasonCodes: codes}},

		{"ReasonCode", V5, &Disconnect{ReasonCode: GrantedQoS1}},
		{"ReasonCode", V311, &Disconnect{ReasonCode: ProtocolError}},
		{"SessionExpiryInterval", V311, &Disconnect{SessionExpiryInterval: new(uint32(0))}},
		{"ServerReference", V5, &Disconnect{SessionExpiryInterval: new(uint32(0)), ServerReference: "s"}},
		{"AUTH", V311, &Auth{AuthenticationMethod: "m"}},
		{"AuthenticationMethod", V5, &Auth{}},
		{"ReasonCode", V5, &Auth{AuthenticationMethod: "m", ReasonCode: NotAuthorized}},
	} {
		before := []byte("before")
		b, err := row.packet.Append(before, row.version)
		var refused *FieldError
		require.ErrorAs(t, err, &refused, "%+v", row.packet)
		require.Equal(t, row.field, refused.Field, "%+v", row.packet)
		require.Equal(t, row.packet.Type(), refused.Packet)
		require.Equal(t, before, b)
	}
}

func TestAPacketTooLargeForItsLengthIsRefused(t *testing.T) {
	user := make([]UserProperty, MaxRemainingLength/(2*maxField)+1)
	for i := range user {
		user[i] = UserProperty{Name: strings.Repeat("n", maxField), Value: strings.Repeat("v", maxField)}
		if i > 0 {
			user[i] = user[0]
		}
	}
	_, err := (&Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "a"}}, UserProperties: user}).Append(nil, V5)
	var refused *FieldError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "packet", refused.Field)
}

func TestEarlierVersionsLeaveOutWhatOnlyInforms(t *testing.T) {
	user := []UserProperty{{"k", "v"}}
	for _, row := range []struct {
		hex    string
		packet Packet
	}{
		{"40020007", &Puback{7, NotAuthorized, "no", user}},
		{"50020007", &Pubrec{7, NotAuthorized, "no", user}},
		{"62020007", &Pubrel{7, PacketIdentifierNotFound, "no", user}},
		{"70020007", &Pubcomp{7, PacketIdentifierNotFound, "no", user}},
		{"9004000780" + "02", &Suback{7, []ReasonCode{NotAuthorized, GrantedQoS2}, "no", user}},
		{"b0020007", &Unsuback{7, []ReasonCode{NotAuthorized}, "no", user}},
		{"20020003", &Connack{ReasonCode: ServerBusy, ReasonString: "no", AssignedClientID: "x"}},
		{"20020100", &Connack{SessionPresent: true}},
		{"e000", &Disconnect{ReasonString: "bye"}},
		{"30030001" + "61", &Publish{Topic: "a", Properties: &PublishProperties{}}},
	} {
		b, err := row.packet.Append(nil, V311)
		require.NoError(t, err)
		require.Equal(t, unhex(t, row.hex), b, "%+v", row.packet)
		require.Equal(t, len(b), row.packet.Size(V311))
	}
	b, err := (&Connack{SessionPresent: true}).Append(nil, V31)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "20020000"), b, "3.1 has no session present")
}

func TestHeaderLengthTakesAsFewBytesAsPossible(t *testing.T) {
	for remaining, want := range map[int]int{
		3: 1, 127: 1, 128: 2, 16383: 2, 16384: 3, 2097151: 3, 2097152: 4,
	} {
		p := &Publish{Topic: "a", Payload: make([]byte, remaining-3)}
		b, err := p.Append(nil, V311)
		require.NoError(t, err)
		require.Len(t, b, 1+want+remaining)
		require.Equal(t, len(b), p.Size(V311))
	}
}

func TestReturnCodesBefore5(t *testing.T) {
	for code, reason := range returnCodes {
		back, ok := reason.returnCode()
		require.True(t, ok)
		require.Equal(t, byte(code), back)
	}
	_, ok := QuotaExceeded.returnCode()
	require.False(t, ok)
}
