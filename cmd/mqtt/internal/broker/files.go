package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker"
)

// files are what the broker reads again when it is told to.
type files struct {
	passwords *broker.Passwords // nil: there are none
	acl       *broker.ACL       // nil: there is none
	tls       *certificates     // nil: there are none
}

// openFiles reads them, and gives cfg what uses them.
func openFiles(c *config, cfg *broker.Config) (f files, err error) {
	if c.TLS.Certificate != "" {
		f.tls = &certificates{files: c.TLS}
		if err := f.tls.reload(); err != nil {
			return f, err
		}
		cfg.TLS = f.tls.config()
	}
	if c.TLS.Names {
		cfg.Authenticators = append(cfg.Authenticators, broker.AuthenticatorFunc(nameOfCertificate))
	}
	if c.Passwords != "" {
		if f.passwords, err = broker.LoadPasswords(c.Passwords); err != nil {
			return f, err
		}
		cfg.Authenticators = append(cfg.Authenticators, f.passwords)
	}
	if c.Anonymous {
		cfg.Authenticators = append(cfg.Authenticators, broker.AuthenticatorFunc(withoutName))
	}
	if c.ACL != "" {
		if f.acl, err = broker.LoadACL(c.ACL); err != nil {
			return f, err
		}
		cfg.Authorizers = append(cfg.Authorizers, f.acl)
	}
	return f, nil
}

// reload reads all files again. What cannot be read stays as it was.
func (f *files) reload() error {
	var errs []error
	if f.tls != nil {
		errs = append(errs, f.tls.reload())
	}
	if f.passwords != nil {
		errs = append(errs, f.passwords.Reload())
	}
	if f.acl != nil {
		errs = append(errs, f.acl.Reload())
	}
	return errors.Join(errs...)
}

// nameOfCertificate lets clients in whose certificate was checked.
func nameOfCertificate(_ context.Context, l *broker.Login) broker.Decision {
	if l.TLS == nil || len(l.TLS.VerifiedChains) == 0 {
		return broker.Pass()
	}
	name := l.TLS.VerifiedChains[0][0].Subject.CommonName
	if name == "" {
		return broker.Pass()
	}
	l.Username = name
	return broker.Allow()
}

// withoutName lets clients in that give no user name. One that gives a name has a
// password, which somebody else decides about.
func withoutName(_ context.Context, l *broker.Login) broker.Decision {
	if l.Username != "" {
		return broker.Pass()
	}
	return broker.Allow()
}

// certificates are those of the server and the authorities of its clients.
type certificates struct {
	files   tlsFiles
	current atomic.Pointer[tls.Config]
}

// reload reads the files.
func (c *certificates) reload() error {
	pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return fmt.Errorf("[tls]: %w", err)
	}
	fresh := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if path := c.files.ClientCA; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("[tls]: %w", err)
		}
		fresh.ClientCAs = x509.NewCertPool()
		if !fresh.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("[tls]: %s has no certificate", path)
		}
		fresh.ClientAuth = tls.VerifyClientCertIfGiven
		if c.files.Require {
			fresh.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	c.current.Store(fresh)
	return nil
}

// config asks for the files that were read last with each new connection.
func (c *certificates) config() *tls.Config {
	first := c.current.Load().Clone() // the names in it are those of the machine, see broker.Config.Origins
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil }
	return first
}
