// Package interop holds tests alone: the broker of this repository against
// clients that were written elsewhere.
package interop
