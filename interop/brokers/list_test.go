package brokers

// behaviours are all behaviours, in the order of the page.
var behaviours = []*behaviour{
	&versionsSpoken,
	&webSocket,
	&transportTLS,
	&assignedIdentifier,
	&credentials,
	&serverKeepAlive,
	&silentClient,

	&qosOfBoth,
	&order,
	&retained,
	&retainedByWildcard,
	&retainOptions,
	&payload1, &payload16, &payload100,
	&topicScripts, &topicOddities,

	&wildcards,
	&overlap,
	&noLocal,
	&shared,
	&manySubscriptions,

	&messageProperties, &willProperties, &retainedProperties, &messageExpiry, &sessionExpiry,
	&subscriptionIdentifiers,
	&topicAliases, &topicAliasesBack, &connectProperties,

	&requestResponse,

	&refusedPublish, &refusedPublish2, &refusedSubscribe,

	&packetSize, &receiveMaximum, &connections,

	&willSent,
	&willNotSent,
	&willOnRequest,
	&willRetained,
	&willDelayed,

	&sessionResumed,
	&cleanStart,
	&takeOver,
	&connectAgain,
	&sessionCut,
	&sessionRestart,
	&sessionCrash,
}
