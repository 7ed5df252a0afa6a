package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// BrokerSetup says what broker to attack.
type BrokerSetup struct {
	Config broker.Config // plain fields only
	// Cost is that of the bcrypt hashes of a password file with the users honest and
	// attacker. Zero means that every user gets in whose password is the name.
	Cost int
	// Users is how many users there are besides, honest0 and so on, with the password of
	// honest.
	Users int
	// Anybody lets everybody in.
	Anybody bool
	// Enhanced has a method, "endless", that never comes to an end.
	Enhanced bool
	// Networks are those to listen on. None means TCP.
	Networks []string
	// Directory is where a Store is kept. Empty means that there is none.
	Directory string
}

// BrokerReport are the broker's own figures.
type BrokerReport struct {
	Stats   broker.Stats
	Waiting int // bytes in the queues of all clients
}

type brokerVictim struct{ *broker.Broker }

func (b *brokerVictim) report() *BrokerReport {
	r := &BrokerReport{Stats: b.Stats()}
	for _, c := range b.Clients() {
		r.Waiting += c.WaitingBytes
	}
	return r
}

// StartBroker runs the broker. The reply is the address for each network.
func (v *Victim) StartBroker(setup BrokerSetup, reply *map[string]string) error {
	cfg := setup.Config
	var err error
	if cfg.Authenticators, err = setup.authenticators(); err != nil {
		return err
	}
	if setup.Enhanced {
		cfg.EnhancedAuthenticators = []broker.EnhancedAuthenticator{endless{}}
	}
	if setup.Directory != "" {
		file, err := bolt.Open(filepath.Join(setup.Directory, "broker.db"), bolt.Config{})
		if err != nil {
			return err
		}
		cfg.Store = file
	}
	if cfg.TLS, err = serverTLS(); err != nil {
		return err
	}
	b, err := broker.Open(cfg)
	if err != nil {
		return err
	}
	v.broker = &brokerVictim{b}
	if len(setup.Networks) == 0 {
		setup.Networks = []string{"tcp"}
	}
	*reply = make(map[string]string)
	for _, network := range setup.Networks {
		addr, err := b.Listen(context.Background(), network, "127.0.0.1:0")
		if err != nil {
			return err
		}
		(*reply)[network] = addr.String()
	}
	return nil
}

func (s *BrokerSetup) authenticators() ([]broker.Authenticator, error) {
	switch {
	case s.Anybody:
		return nil, nil
	case s.Cost == 0:
		return []broker.Authenticator{sameName{}}, nil
	}
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var lines []byte
	for _, user := range []string{"honest", "attacker"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(user), s.Cost)
		if err != nil {
			return nil, err
		}
		lines = fmt.Appendf(lines, "%s:%s\n", user, hash)
		for i := range s.Users {
			lines = fmt.Appendf(lines, "%s%d:%s\n", user, i, hash)
		}
	}
	path := filepath.Join(dir, "passwords")
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		return nil, err
	}
	passwords, err := broker.LoadPasswords(path)
	return []broker.Authenticator{passwords}, err
}

// sameName lets in whoever has the user name as password.
type sameName struct{}

func (sameName) Authenticate(_ context.Context, l *broker.Login) broker.Decision {
	if l.Username == "" || l.Username != string(l.Password) {
		return broker.Deny(wire.BadUserNameOrPassword, "")
	}
	return broker.Allow()
}

// endless is an authentication method that always wants one step more.
type endless struct{}

func (endless) AuthenticationMethod() string        { return "endless" }
func (endless) Begin(*broker.Login) broker.Exchange { return endless{} }

func (endless) Next(context.Context, []byte) ([]byte, broker.Decision) {
	return []byte("go on"), broker.Pass()
}

// serverTLS has a certificate that nobody has to know.
func serverTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "victim"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
