package reconnect_test

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/reconnect"
)

func Example() {
	policy := reconnect.Policy{Min: time.Second, Max: 10 * time.Second, MaxAttempts: 6}
	half := func() float64 { return 0.5 } // nil for real random numbers
	backoff := reconnect.New(policy, half)
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

	// The server is away for a while.
	for range 5 {
		delay, _ := backoff.Next()
		fmt.Println("wait", delay)
	}
	// It accepts, and drops the connection at once.
	backoff.Connected(now)
	backoff.Lost(now.Add(time.Second))
	delay, _ := backoff.Next()
	fmt.Println("dropped at once: wait", delay)

	// It accepts and all is well for an hour.
	backoff.Connected(now)
	backoff.Lost(now.Add(time.Hour))
	delay, _ = backoff.Next()
	fmt.Println("dropped after an hour: wait", delay)
	// Output:
	// wait 500ms
	// wait 1s
	// wait 2s
	// wait 4s
	// wait 5s
	// dropped at once: wait 5s
	// dropped after an hour: wait 500ms
}

func ExamplePolicy_Validate() {
	fmt.Println(reconnect.Policy{Min: time.Minute, Max: time.Second}.Validate())
	// Output: reconnect policy: Min 1m0s is longer than Max 1s
}

func ExamplePolicy_Ceiling() {
	var policy reconnect.Policy
	fmt.Println(policy.Ceiling(0), policy.Ceiling(1), policy.Ceiling(100))
	// Output: 100ms 200ms 30s
}

func ExampleBackoff_Reset() {
	backoff := reconnect.New(reconnect.Policy{}, nil)
	backoff.Next()
	backoff.Next()
	fmt.Println(backoff.Attempts())
	backoff.Reset() // a network came up
	fmt.Println(backoff.Attempts())
	// Output:
	// 2
	// 0
}
