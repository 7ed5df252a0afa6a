package mqtt

// Redirection is what a server asks for with UseAnotherServer or ServerMoved.
type Redirection struct {
	From, To string // host:port
	Moved    bool   // for as long as the client lives, not just for the next connection
}

// RedirectAction is what to do about a Redirection.
type RedirectAction uint8

// What can be done about a Redirection.
const (
	// StayAway does not follow: it counts as a failed attempt.
	StayAway RedirectAction = iota
	// FollowWithoutCredentials leaves out user name, password, headers, client
	// certificates, the query of the URL and the user properties of CONNECT.
	FollowWithoutCredentials
	// FollowWithCredentials treats the other server like our own.
	FollowWithCredentials
)
