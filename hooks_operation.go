package mqtt

// Operation is the call by which a message is published or consumed, as a Hook is told.
type Operation uint8

// The operations.
const (
	OperationPublish       Operation = iota // Publish, PublishMessage, PublishAsync and PublishOnce
	OperationRequest                        // Request: it publishes the request and consumes the response
	OperationRespond                        // Respond: it consumes the request and publishes the response
	OperationMessages                       // the channel of Messages
	OperationStream                         // the channel of Stream
	OperationNext                           // Next and ReceiveOnce
	OperationAll                            // the loop over All
	OperationHandle                         // the function of Handle
	OperationHandleBatches                  // the function of HandleBatches
)

// String returns the name of the operation: "publish", "request", "respond", "messages",
// "stream", "next", "all", "handle" or "batches".
func (o Operation) String() string {
	names := [...]string{"publish", "request", "respond", "messages", "stream", "next", "all", "handle", "batches"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}
