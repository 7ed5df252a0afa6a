package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed65a45251/mqtt/wire"
)

// cheap returns a line of a password file that costs little to check.
func cheap(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return user + ":" + string(hash) + "\n"
}

func passwordFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestPasswordsDecide(t *testing.T) {
	long := strings.Repeat("x", passwordMaximum)
	// The y is how other tools mark the same hash.
	other := strings.Replace(cheap(t, "bob", "builder"), ":$2a$", ":$2y$", 1)
	p, err := LoadPasswords(passwordFile(t, "# users\n\n"+cheap(t, "alice", "wonder:land")+other+cheap(t, "long", long)+cheap(t, "empty", "")))
	require.NoError(t, err)
	no := Deny(wire.BadUserNameOrPassword, "")
	for _, test := range []struct {
		user     string
		password []byte
		want     Decision
	}{
		{"alice", []byte("wonder:land"), Allow()},
		{"bob", []byte("builder"), Allow()},
		{"alice", []byte("builder"), no},
		{"alice", nil, no},
		{"alice", []byte{}, no},
		{"nobody", []byte("builder"), no},
		{"nobody", nil, no},
		{"", []byte("builder"), Pass()},
		{"long", []byte(long), Allow()},
		{"long", []byte(long + "y"), no}, // bcrypt would not look at the rest
		{"long", []byte("x\x00x"), no},
		{"empty", []byte{}, Allow()},
		{"empty", nil, no},
	} {
		l := &Login{Peer: Peer{Username: test.user}, Password: test.password}
		require.Equal(t, test.want, p.Authenticate(t.Context(), l), "%s %q", test.user, test.password)
	}
}

func TestUnknownUsersCostAsMuch(t *testing.T) {
	p, err := LoadPasswords(passwordFile(t, cheap(t, "alice", "x")))
	require.NoError(t, err)
	cost, err := bcrypt.Cost(p.users.Load().decoy)
	require.NoError(t, err)
	require.Equal(t, bcrypt.MinCost, cost)
	hash, err := HashPassword([]byte("secret"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(p.path, []byte("bob:"+hash), 0o600))
	require.NoError(t, p.Reload())
	cost, err = bcrypt.Cost(p.users.Load().decoy)
	require.NoError(t, err)
	require.Equal(t, bcrypt.DefaultCost, cost)
	require.False(t, p.users.Load().check("nobody", nil))
	_, err = HashPassword(make([]byte, 73))
	require.Error(t, err)
}

func TestPasswordFileIsReadAgain(t *testing.T) {
	path := passwordFile(t, cheap(t, "alice", "old"))
	p, err := LoadPasswords(path)
	require.NoError(t, err)
	login := func(password string) bool {
		return p.Authenticate(t.Context(), &Login{Peer: Peer{Username: "alice"}, Password: []byte(password)}) == Allow()
	}
	require.True(t, login("old"))
	require.NoError(t, os.WriteFile(path, []byte(cheap(t, "alice", "new")), 0o600))
	require.NoError(t, p.Reload())
	require.False(t, login("old"))
	require.True(t, login("new"))
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	require.ErrorContains(t, p.Reload(), "line 1")
	require.True(t, login("new"))
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, p.Reload(), os.ErrNotExist)
	require.True(t, login("new"))
}

func TestBadPasswordFiles(t *testing.T) {
	line := cheap(t, "alice", "x")
	for text, want := range map[string]string{
		"alice":                 "line 1: not of the form user:hash",
		"# c\n:x":               "line 2: not of the form user:hash",
		"alice:secret":          "line 1: not a bcrypt hash",
		line + line:             `line 2: user "alice" stands there twice`,
		"bob:$2b$99$aaaaaaaaaa": "line 1: not a bcrypt hash",
	} {
		_, err := LoadPasswords(passwordFile(t, text))
		require.ErrorContains(t, err, want)
	}
	_, err := LoadPasswords(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestLoginsWaitForTheirTurn(t *testing.T) {
	path := passwordFile(t, cheap(t, "alice", "x"))
	synctest.Test(t, func(t *testing.T) {
		p, err := LoadPasswords(path)
		require.NoError(t, err)
		for range cap(p.slots) {
			p.slots <- struct{}{} // others that are checked
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := &Login{Peer: Peer{Username: "alice"}, Password: []byte("x")}
		require.Equal(t, wire.ServerBusy, p.Authenticate(ctx, l).code)
		time.AfterFunc(time.Second, func() { <-p.slots })
		require.Equal(t, Allow(), p.Authenticate(t.Context(), l))
	})
}

func TestPasswordsOverTheWire(t *testing.T) {
	p, err := LoadPasswords(passwordFile(t, cheap(t, "alice", "x")))
	require.NoError(t, err)
	run(t, Config{Authenticators: []Authenticator{p}}, func(t *testing.T, b *Broker) {
		for _, test := range []struct {
			password string
			want     wire.ReasonCode
		}{{"x", wire.Success}, {"y", wire.BadUserNameOrPassword}} {
			s := dial(t, b, wire.V311)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true, Username: new("alice"), Password: []byte(test.password)})
			s.want(&wire.Connack{ReasonCode: test.want})
		}
	})
}
