// Package conformancetest checks this project's client and broker with package
// conformance.
package conformancetest
