//go:build !unix

package output

// WhenGone does nothing: this system tells only a writer that nobody reads any more.
func (*Stream) WhenGone(func()) (stop func()) { return func() {} }
