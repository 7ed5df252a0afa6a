// Package interop has only tests: the broker of this repository against clients of
// other projects.
package interop
