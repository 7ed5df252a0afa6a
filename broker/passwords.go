package broker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"

	"github.com/seed65a45251/mqtt/broker/internal/logins"
	"github.com/seed65a45251/mqtt/wire"
)

// passwordMaximum is how many bytes of a password bcrypt compares.
const passwordMaximum = 72

// Passwords is an [Authenticator] with a file of users and bcrypt hashes, as
// `htpasswd -B` writes it: one "user:hash" per line; # begins a comment.
//
// It decides about every client that gives a user name and passes on the others.
// Checking a password takes as long for an unknown user as for a known one if all
// hashes have the same cost. A check uses a processor, so only a few run at a time.
// Clients whose address or user name had wrong passwords lately are checked last. A
// correct password is remembered for an hour or until Reload. A client that has to
// wait longer than [Config.ConnectTimeout], or that too many others precede, is
// refused with Server busy.
//
// Its methods are safe for concurrent use.
type Passwords struct {
	path  string
	users atomic.Pointer[passwordTable]
	slots chan struct{} // one for each check under way
	queue *logins.Queue
}

// passwordTable is never changed after it is read.
type passwordTable struct {
	hashes map[string][]byte
	decoy  []byte // for unknown users
	right  *rightPasswords
}

// LoadPasswords reads a password file.
func LoadPasswords(path string) (*Passwords, error) {
	p := &Passwords{path: path, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), queue: logins.New()}
	if err := p.Reload(); err != nil {
		return nil, err
	}
	return p, nil
}

// Reload reads the file again. If that fails, the old users stay.
func (p *Passwords) Reload() error {
	file, err := os.Open(p.path)
	if err != nil {
		return fmt.Errorf("mqtt: password file: %w", err)
	}
	defer file.Close()
	table, err := parsePasswords(file)
	if err != nil {
		return fmt.Errorf("mqtt: password file %s: %w", p.path, err)
	}
	p.users.Store(table)
	return nil
}

func parsePasswords(r io.Reader) (*passwordTable, error) {
	table := &passwordTable{hashes: make(map[string][]byte), right: newRightPasswords()}
	decoyCost := bcrypt.MinCost
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case !ok || user == "":
			return nil, fmt.Errorf("line %d: not of the form user:hash", n)
		case err != nil:
			return nil, fmt.Errorf("line %d: not a bcrypt hash: %w", n, err)
		case table.hashes[user] != nil:
			return nil, fmt.Errorf("line %d: user %q stands there twice", n, user)
		}
		table.hashes[user] = []byte(hash)
		decoyCost = max(decoyCost, cost)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	var err error
	table.decoy, err = bcrypt.GenerateFromPassword(nil, decoyCost)
	return table, err
}

// HashPassword returns the hash for a line of a password file. It fails for a
// password of more than 72 bytes.
func HashPassword(password []byte) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(password, bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("mqtt: %w", err)
	}
	return string(hash), nil
}

// Authenticate compares the password with the one in the file.
func (p *Passwords) Authenticate(ctx context.Context, l *Login) Decision {
	if l.Username == "" {
		return Pass()
	}
	if p.users.Load().right.has(l.Username, l.Password) {
		return Allow()
	}
	login := p.queue.Login(l.Username, l.RemoteAddr)
	if !p.queue.Wait(ctx, login, p.slots) {
		return Deny(wire.ServerBusy, "too many logins")
	}
	defer func() { <-p.slots }()
	users := p.users.Load()
	right := users.check(l.Username, l.Password)
	p.queue.Learn(login, right)
	if !right {
		return Deny(wire.BadUserNameOrPassword, "")
	}
	users.right.add(l.Username, l.Password)
	return Allow()
}

// check takes the same time whatever is wrong.
func (t *passwordTable) check(user string, password []byte) bool {
	hash, known := t.hashes[user]
	if !known {
		hash = t.decoy
	}
	usable := password != nil && len(password) <= passwordMaximum && bytes.IndexByte(password, 0) < 0
	if !usable {
		// bcrypt would cut it off, or compare another password.
		password = nil
	}
	right := bcrypt.CompareHashAndPassword(hash, password) == nil
	return right && known && usable
}
