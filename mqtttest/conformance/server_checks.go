package conformance

import (
	"slices"
	"strings"
)

// serverChecks are all statements about servers, in the order of the text.
var serverChecks = slices.Concat(
	serverPacketChecks(),
	serverConnectChecks(),
	serverBadConnectChecks(),
	serverSessionChecks(),
	serverConnackChecks(),
	serverLimitChecks(),
	serverPublishChecks(),
	serverPropertyChecks(),
	serverRetainedChecks(),
	serverAliasChecks(),
	serverReceiveChecks(),
	serverSendChecks(),
	serverResumeChecks(),
	serverFlowChecks(),
	serverOrderChecks(),
	serverSubscribeChecks(),
	serverSubscriptionChecks(),
	serverFilterChecks(),
	serverUnsubscribeChecks(),
	serverSharedChecks(),
	serverPingChecks(),
	serverDisconnectChecks(),
	serverAuthChecks(),
	serverWillChecks(),
	serverRightsChecks(),
	serverMalformedChecks(),
	serverWebSocketChecks(),
)

// of makes a check. The numbers are separated by spaces and have no "MQTT-".
func of(name, v311, v5, text string, run func(*trial)) serverCheck {
	return serverCheck{
		Statement: Statement{Name: name, Side: ServerSide, V311: numbers(v311), V5: numbers(v5), Text: text},
		run:       run,
	}
}

// hidden makes a statement that no check sees.
func hidden(name, v311, v5, text, why string) serverCheck {
	c := of(name, v311, v5, text, nil)
	c.NotObserved = why
	return c
}

func numbers(list string) []string {
	all := strings.Fields(list)
	for i, n := range all {
		if !strings.HasPrefix(n, "§") {
			all[i] = "MQTT-" + n
		}
	}
	return all
}

// wellFormed is the name of the statement that is judged by all packets of all checks.
const wellFormed = "packets are well-formed"

func serverPacketChecks() []serverCheck {
	return []serverCheck{
		of(wellFormed,
			"1.5.3-1 1.5.3-2 2.2.2-1 2.3.1-5 3.2.2-6 3.3.1-2 3.3.2-2 3.9.3-2",
			"1.5.4-1 1.5.4-2 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-2 2.2.2-1 3.2.2-1 3.2.2-8 3.3.1-2 3.3.2-2 3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1 3.9.3-2 3.11.3-2 3.14.2-1 3.14.2-2 3.15.2-1",
			"all packets that the server has sent in this run can be decoded, with the reserved bits, codes and properties that are listed for them", nil),
	}
}
