package target

// Named reports whether the options name a server, after Target also those of the
// environment and of a profile. It is for commands that should not fall back to this
// machine.
func (f *Flags) Named() bool {
	given := f.given()
	return given["server"] || given["host"] || given["port"]
}
