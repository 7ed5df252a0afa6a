package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// rightPasswords remembers correct passwords for a while. Clients that come again,
// for example all at once after a network failure, then need no slow hash. It holds
// only hashes under a key of its own, which is never stored. It belongs to one
// reading of the password file.
type rightPasswords struct {
	key [32]byte

	mu    sync.Mutex // guards until; a leaf
	until map[[sha256.Size]byte]time.Time
}

const (
	rightFor     = time.Hour
	rightMaximum = 1 << 14
)

func newRightPasswords() *rightPasswords {
	r := &rightPasswords{until: make(map[[sha256.Size]byte]time.Time)}
	rand.Read(r.key[:]) // never fails
	return r
}

func (r *rightPasswords) digest(user string, password []byte) (d [sha256.Size]byte) {
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte(user))
	h.Write([]byte{0}) // does not occur in a user name
	h.Write(password)
	h.Sum(d[:0])
	return d
}

// has reports whether the password was right not long ago.
func (r *rightPasswords) has(user string, password []byte) bool {
	if password == nil || len(password) > passwordMaximum {
		return false
	}
	d := r.digest(user, password)
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until[d])
}

// add remembers a password that was right.
func (r *rightPasswords) add(user string, password []byte) {
	d, now := r.digest(user, password), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for old, until := range r.until {
		if len(r.until) < rightMaximum {
			break
		}
		// Any entry will do: its next login costs one slow hash.
		if delete(r.until, old); until.After(now) {
			break
		}
	}
	r.until[d] = now.Add(rightFor)
}
