package brokers

import (
	"crypto/x509"
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var transportTLS = behaviour{
	group: "Transports", name: "TLS",
	what:  "the right certificate is taken; one of an unknown authority, or for another host, is refused with the reason",
	on:    guarded,
	probe: probeTLS,
}

func probeTLS(p *probe) verdict {
	client := p.connect(mqtt.Config{})
	require.NotNil(p, client.ServerInfo().TLS)
	p.goesOn(client)

	unknown := p.tls.Clone()
	unknown.RootCAs = x509.NewCertPool()
	_, err := p.try(mqtt.Config{TLS: unknown})
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	require.True(p, ok, "%v", err)

	elsewhere := p.tls.Clone()
	elsewhere.ServerName = "elsewhere.example"
	_, err = p.try(mqtt.Config{TLS: elsewhere})
	_, ok = errors.AsType[x509.HostnameError](err)
	require.True(p, ok, "%v", err)
	return yes
}
