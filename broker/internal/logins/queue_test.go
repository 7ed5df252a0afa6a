package logins

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// checks is a password check that takes 50 ms of a processor, with the queue in front.
type checks struct {
	queue *Queue
	slots chan struct{}
}

func newChecks() *checks { return &checks{New(), make(chan struct{}, 1)} }

func (c *checks) login(ctx context.Context, user, address string, right bool) (checked bool) {
	w := c.queue.Login(user, &net.TCPAddr{IP: net.ParseIP(address)})
	if !c.queue.Wait(ctx, w, c.slots) {
		return false
	}
	time.Sleep(50 * time.Millisecond)
	c.queue.Learn(w, right)
	<-c.slots
	return true
}

// Honest clients log in while a hundred guess passwords all the time, from addresses of
// their own, with one user name, those of others or any.
func TestHonestLoginsGoThroughAFlood(t *testing.T) {
	for name, user := range map[string]func(i int) string{
		"one user":      func(int) string { return "alice" },
		"some users":    func(i int) string { return fmt.Sprint("user", i%7) },
		"unknown users": func(i int) string { return fmt.Sprint("user", i) },
		"all users":     func(i int) string { return fmt.Sprint("bob", i%60) },
	} {
		for _, shared := range []bool{false, true} {
			often := 5 // addresses of each
			if name == "all users" {
				often = 1000
			}
			synctest.Test(t, func(t *testing.T) {
				c := newChecks()
				ctx, stop := context.WithCancel(t.Context())
				for i := range 100 {
					go func() {
						for n := 0; ctx.Err() == nil; n++ {
							try, done := context.WithTimeout(ctx, 10*time.Second)
							c.login(try, user(i*1000+n), fmt.Sprintf("127.%d.%d.%d", 1+n%often/200, i, n%often%200), false)
							done()
						}
					}()
				}
				time.Sleep(time.Second)
				in := 0
				const honest = 60
				for i := range honest {
					address := "127.0.0.1"
					if !shared {
						address = fmt.Sprintf("127.0.0.%d", i)
					}
					who := fmt.Sprint("bob", i)
					if i%4 == 0 {
						who = "alice" // whom they attack, too
					}
					second, done := context.WithTimeout(t.Context(), time.Second)
					if c.login(second, who, address, true) {
						in++
					}
					done()
					time.Sleep(100 * time.Millisecond)
				}
				require.GreaterOrEqual(t, in, honest*95/100, "%s, shared %v", name, shared)
				stop()
				synctest.Wait()
				time.Sleep(time.Minute)
				require.Empty(t, c.queue.waiting)
				require.Empty(t, c.slots)
			})
		}
	}
}

// Somebody who guesses behind the address of a user does not lock that user out.
func TestGuessesBehindTheSameAddressDoNotLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChecks()
		require.True(t, c.login(t.Context(), "alice", "10.0.0.1", true))
		ctx, stop := context.WithCancel(t.Context())
		for i := range 100 {
			go func() {
				for n := 0; ctx.Err() == nil; n++ {
					c.login(ctx, fmt.Sprint(i, n%50), "10.0.0.1", false)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		for _, user := range []string{"alice", "new"} {
			second, done := context.WithTimeout(t.Context(), time.Second)
			require.True(t, c.login(second, user, "10.0.0.1", true), user)
			done()
		}
		stop()
	})
}

func TestLoginsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChecks()
		c.queue.faults.add(c.queue.Login("guessed", nil).user, 100, time.Now())
		c.slots <- struct{}{}
		refused := make(chan string, 10)
		login := func(user string) {
			if !c.login(t.Context(), user, "10.0.0.1", true) {
				refused <- user
			}
		}
		go login("guessed")
		synctest.Wait()
		for range maximum {
			go login("others")
		}
		synctest.Wait()
		require.Equal(t, "guessed", <-refused)
		require.Empty(t, refused)
		<-c.slots
		time.Sleep(time.Hour)
		require.Empty(t, refused)
	})
}

func TestTalliesForget(t *testing.T) {
	y := tally{halfLife: time.Minute}
	now := time.Now()
	for range 4 {
		y.add(1, 1, now)
	}
	require.EqualValues(t, 4, y.of(1, now))
	require.EqualValues(t, 2, y.of(1, now.Add(time.Minute)))
	require.Zero(t, y.of(1, now.Add(time.Hour)))
	for i := range uint64(3 * tallyMaximum) {
		y.add(i, 1, now)
		require.LessOrEqual(t, len(y.counts), tallyMaximum)
	}
}
