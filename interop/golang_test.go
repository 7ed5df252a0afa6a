package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	gomqtt "github.com/256dpi/gomqtt/client"
	"github.com/256dpi/gomqtt/packet"
	atwat "github.com/at-wat/mqtt-go"
	"github.com/eclipse/paho.golang/paho"
	pahomqtt "github.com/eclipse/paho.mqtt.golang"
)

func (o options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

// pahoMQTT is github.com/eclipse/paho.mqtt.golang.
type pahoMQTT struct {
	client   pahomqtt.Client
	nc       net.Conn
	received func(message)
}

func openPahoMQTT(_ *testing.T, received func(message)) peer { return &pahoMQTT{received: received} }

func (p *pahoMQTT) connect(_ context.Context, o options) (bool, error) {
	opts := pahomqtt.NewClientOptions().AddBroker("tcp://" + o.address()).
		SetClientID(o.ID).SetProtocolVersion(uint(o.Version)).SetCleanSession(o.Clean).
		SetAutoReconnect(false).SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ pahomqtt.Client, m pahomqtt.Message) {
			p.received(message{m.Topic(), string(m.Payload()), m.Qos(), m.Retained()})
		}).
		SetCustomOpenConnectionFn(func(u *url.URL, _ pahomqtt.ClientOptions) (net.Conn, error) {
			nc, err := net.Dial("tcp", u.Host)
			p.nc = nc
			return nc, err
		})
	if w := o.Will; w != nil {
		opts.SetWill(w.Topic, w.Payload, w.QoS, w.Retain)
	}
	p.client = pahomqtt.NewClient(opts)
	t := p.client.Connect()
	err := p.wait(t)
	return t.(*pahomqtt.ConnectToken).SessionPresent(), err
}

func (p *pahoMQTT) wait(t pahomqtt.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("no answer")
	}
	return t.Error()
}

func (p *pahoMQTT) subscribe(_ context.Context, filter string, qos byte) (byte, error) {
	t := p.client.Subscribe(filter, qos, nil)
	err := p.wait(t)
	return t.(*pahomqtt.SubscribeToken).Result()[filter], err
}

func (p *pahoMQTT) publish(_ context.Context, m message) error {
	return p.wait(p.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload))
}

func (p *pahoMQTT) disconnect(context.Context) error {
	p.client.Disconnect(100)
	return nil
}

func (p *pahoMQTT) kill() error { return p.nc.Close() }

// pahoV5 is github.com/eclipse/paho.golang.
type pahoV5 struct {
	client   *paho.Client
	nc       net.Conn
	received func(message)
}

func openPaho(_ *testing.T, received func(message)) peer { return &pahoV5{received: received} }

func (p *pahoV5) connect(ctx context.Context, o options) (bool, error) {
	nc, err := net.Dial("tcp", o.address())
	if err != nil {
		return false, err
	}
	p.nc = nc
	p.client = paho.NewClient(paho.ClientConfig{
		Conn: nc, ClientID: o.ID, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			p.received(message{m.Packet.Topic, string(m.Packet.Payload), m.Packet.QoS, m.Packet.Retain})
			return true, nil
		}},
	})
	connect := &paho.Connect{
		ClientID: o.ID, CleanStart: o.Clean, KeepAlive: 30,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &o.Expiry},
	}
	if w := o.Will; w != nil {
		connect.WillMessage = &paho.WillMessage{Topic: w.Topic, Payload: []byte(w.Payload), QoS: w.QoS, Retain: w.Retain}
		connect.WillProperties = &paho.WillProperties{}
	}
	ack, err := p.client.Connect(ctx, connect)
	return ack != nil && ack.SessionPresent, err
}

func (p *pahoV5) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	ack, err := p.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}})
	if err != nil {
		return 0, err
	}
	return ack.Reasons[0], nil
}

func (p *pahoV5) publish(ctx context.Context, m message) error {
	_, err := p.client.Publish(ctx, &paho.Publish{Topic: m.Topic, Payload: []byte(m.Payload), QoS: m.QoS, Retain: m.Retain})
	return err
}

func (p *pahoV5) disconnect(context.Context) error { return p.client.Disconnect(&paho.Disconnect{}) }

func (p *pahoV5) kill() error { return p.nc.Close() }

// gomqttPeer is github.com/256dpi/gomqtt.
type gomqttPeer struct {
	client   *gomqtt.Client
	received func(message)
}

func openGomqtt(_ *testing.T, received func(message)) peer { return &gomqttPeer{received: received} }

func (p *gomqttPeer) connect(_ context.Context, o options) (bool, error) {
	p.client = gomqtt.New()
	p.client.Callback = func(m *packet.Message, err error) error {
		if err == nil {
			p.received(message{m.Topic, string(m.Payload), byte(m.QOS), m.Retain})
		}
		return nil
	}
	cfg := gomqtt.NewConfigWithClientID("tcp://"+o.address(), o.ID)
	cfg.CleanSession = o.Clean
	cfg.MaxWriteDelay = 0
	if w := o.Will; w != nil {
		cfg.WillMessage = &packet.Message{Topic: w.Topic, Payload: []byte(w.Payload), QOS: packet.QOS(w.QoS), Retain: w.Retain}
	}
	f, err := p.client.Connect(cfg)
	if err != nil {
		return false, err
	}
	if err := f.Wait(patience); err != nil {
		return false, err
	}
	return f.SessionPresent(), nil
}

func (p *gomqttPeer) subscribe(_ context.Context, filter string, qos byte) (byte, error) {
	f, err := p.client.Subscribe(filter, packet.QOS(qos))
	if err != nil {
		return 0, err
	}
	if err := f.Wait(patience); err != nil {
		return 0, err
	}
	return byte(f.ReturnCodes()[0]), nil
}

func (p *gomqttPeer) publish(_ context.Context, m message) error {
	f, err := p.client.Publish(m.Topic, []byte(m.Payload), packet.QOS(m.QoS), m.Retain)
	if err != nil {
		return err
	}
	return f.Wait(patience)
}

func (p *gomqttPeer) disconnect(context.Context) error { return p.client.Disconnect(time.Second) }

func (p *gomqttPeer) kill() error { return p.client.Close() }

// atwatPeer is github.com/at-wat/mqtt-go.
type atwatPeer struct {
	client   *atwat.BaseClient
	received func(message)
}

func openAtWat(_ *testing.T, received func(message)) peer { return &atwatPeer{received: received} }

func (p *atwatPeer) connect(ctx context.Context, o options) (bool, error) {
	var err error
	if p.client, err = atwat.DialContext(ctx, "mqtt://"+o.address()); err != nil {
		return false, err
	}
	p.client.Handle(atwat.HandlerFunc(func(m *atwat.Message) {
		p.received(message{m.Topic, string(m.Payload), byte(m.QoS), m.Retain})
	}))
	opts := []atwat.ConnectOption{
		atwat.WithCleanSession(o.Clean), atwat.WithProtocolLevel(atwat.ProtocolLevel(o.Version)), atwat.WithKeepAlive(30),
	}
	if w := o.Will; w != nil {
		opts = append(opts, atwat.WithWill(&atwat.Message{
			Topic: w.Topic, Payload: []byte(w.Payload), QoS: atwat.QoS(w.QoS), Retain: w.Retain,
		}))
	}
	return p.client.Connect(ctx, o.ID, opts...)
}

func (p *atwatPeer) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	granted, err := p.client.Subscribe(ctx, atwat.Subscription{Topic: filter, QoS: atwat.QoS(qos)})
	if err != nil {
		return 0, err
	}
	if len(granted) != 1 {
		return 0, fmt.Errorf("%d codes for one filter", len(granted))
	}
	return byte(granted[0].QoS), nil
}

func (p *atwatPeer) publish(ctx context.Context, m message) error {
	return p.client.Publish(ctx, &atwat.Message{Topic: m.Topic, Payload: []byte(m.Payload), QoS: atwat.QoS(m.QoS), Retain: m.Retain})
}

func (p *atwatPeer) disconnect(ctx context.Context) error { return p.client.Disconnect(ctx) }

func (p *atwatPeer) kill() error { return p.client.Close() }
