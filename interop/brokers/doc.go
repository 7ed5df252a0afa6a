// Package brokers has only tests: our client against the brokers of package servers, and
// against any broker by URL:
//
//	go test . -server mqtt://localhost:1883
//
// Each behaviour that users rely on is a probe, which returns a verdict. What a broker
// does instead of the expected is declared beside the probe, with the reason, and a test
// fails when the declaration says less than the broker can, or more, three times in a row:
// brokers have races of their own. Ours gets one try. The result is docs/brokers.md.
package brokers
