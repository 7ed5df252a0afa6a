package brokers

import "github.com/seed65a45251/mqtt"

var assignedIdentifier = behaviour{
	group: "Connecting", name: "assigns an identifier",
	what:     "a client without an identifier gets in, and on 5.0 is told the one that it has",
	versions: newer, // 3.1 demands one of the client
	probe:    probeAssignedIdentifier,
}

func probeAssignedIdentifier(p *probe) verdict {
	client, err := p.try(mqtt.Config{ClientID: mqtt.Empty})
	p.must(err, "refuses the client")
	if p.version == mqtt.V5 && client.ServerInfo().ClientID == "" {
		return "does not tell"
	}
	return yes
}
