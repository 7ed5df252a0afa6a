package mqtt

import (
	"math/rand/v2"
	"time"
)

// drawAge returns how long a connection may last when longest is the largest age; 0: for
// any time. Clients that begin together do not end together.
func drawAge(longest time.Duration) time.Duration {
	if longest <= 0 {
		return 0
	}
	return longest - rand.N(longest/4+1)
}

// grownOld reports, once, that the connection is to be replaced. The goroutine of
// keepAlive calls it.
func (k *conn) grownOld(now time.Time) bool {
	if k.age == 0 || now.Sub(k.start) < k.age {
		return false
	}
	k.age = 0
	return true
}
