package broker

// frame is a message as it is written to many clients: encoded once for each
// version and value of the retain flag.
type frame struct {
	bytes []byte
	ready bool
}

// frameMaximum is the largest frame whose memory is kept for the next message.
const frameMaximum = 16 << 10
