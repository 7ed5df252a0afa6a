package broker

// diskIsFull reports false: the system has no error of its own for a full disk.
func diskIsFull(error) bool { return false }
