package circle

// user knows first and is known by nobody.
var user = begin()
