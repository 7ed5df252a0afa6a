package conformance

import "slices"

// clientChecks returns all statements for clients, by section.
func clientChecks() []clientCheck {
	return slices.Concat(
		clientStrings(),
		clientHeader(),
		clientProperties(),
		clientConnect(),
		clientConnack(),
		clientPublish(),
		clientAcks(),
		clientSubscribe(),
		clientKeepAlive(),
		clientDisconnect(),
		clientAuth(),
		clientSession(),
		clientLimits(),
	)
}

// rule makes a check.
func rule(name string, v311, v5 []string, text string, check func(*script)) clientCheck {
	return clientCheck{Statement: Statement{Name: name, V311: v311, V5: v5, Text: text}, check: check}
}

// unseen makes a statement that no check can see.
func unseen(name string, v311, v5 []string, text, why string) clientCheck {
	return clientCheck{Statement: Statement{Name: name, V311: v311, V5: v5, Text: text, NotObserved: why}}
}

// ids is a list of numbers of statements.
func ids(numbers ...string) []string { return numbers }
