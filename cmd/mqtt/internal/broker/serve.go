package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// server is a broker that runs.
type server struct {
	config config
	again  func() (config, error) // reads the configuration again
	files  files
	state  state
	log    *slog.Logger
	told   io.Writer // where it says what it listens on
}

// serve runs until ctx ends. Each value from reload makes it read its files again.
func (s *server) serve(ctx context.Context, reload <-chan os.Signal) (err error) {
	cfg, err := s.config.broker(s.log)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if s.files, err = openFiles(&s.config, &cfg); err != nil {
		return exit.With(exit.Usage, err)
	}
	if path := s.config.Store; path != "" {
		file, err := bolt.Open(path, bolt.Config{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		cfg.Store = file
	}
	b, err := broker.Open(cfg)
	if err != nil {
		return err
	}
	defer b.Close()
	s.state.stats = b.Stats
	if address := s.config.Health.Listen; address != "" {
		at, stop, err := s.state.serve(address)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintf(s.told, "health on http://%s\n", at)
	}
	if err := s.listen(ctx, b); err != nil {
		return err
	}
	s.state.ready.Store(true)
	notify(ctx, "READY=1")
	s.await(ctx, reload)

	s.state.ready.Store(false)
	ending := context.WithoutCancel(ctx)
	notify(ending, "STOPPING=1")
	s.log.Info("broker stops", "cause", context.Cause(ctx))
	limited, cancel := context.WithTimeoutCause(ending, time.Duration(s.config.Shutdown), errors.New("clients were given up"))
	defer cancel()
	if err := b.Shutdown(limited); err != nil {
		s.log.Warn("broker stopped early", "cause", err)
	}
	return nil
}

// listen opens all listeners. They live as long as b: clients may finish what they do
// after ctx has ended.
func (s *server) listen(ctx context.Context, b *broker.Broker) error {
	for _, l := range s.config.Listeners {
		network, address, err := l.parse()
		if err != nil {
			return exit.With(exit.Usage, err)
		}
		if network == "unix" {
			removeStale(address)
		}
		at, err := b.Listen(context.WithoutCancel(ctx), network, address)
		switch {
		case errors.Is(err, broker.ErrOpen):
			return exit.Usagef("listener %s can be reached by other machines: give passwords, or anonymous = true for a broker that is open to everybody", l.URL)
		case err != nil:
			return fmt.Errorf("listener %s: %w", l.URL, err)
		}
		fmt.Fprintf(s.told, "listening on %s\n", l.at(at))
	}
	return nil
}

// at is the URL of the listener with the address that it got.
func (l listener) at(addr net.Addr) string {
	for i := range l.URL {
		if l.URL[i] == ':' {
			return l.URL[:i] + "://" + addr.String()
		}
	}
	return addr.String()
}

// removeStale removes a Unix socket that a process has left behind.
func removeStale(path string) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close() // somebody listens: the error of Listen says so
		return
	}
	_ = os.Remove(path)
}

// await reads the files again when it is told to, until ctx ends.
func (s *server) await(ctx context.Context, reload <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			notify(ctx, "RELOADING=1")
			s.reload()
			notify(ctx, "READY=1")
		}
	}
}

// reload reads passwords, rules and certificates again, and says which changes of the
// configuration need a restart. What cannot be read stays as it was.
func (s *server) reload() {
	if err := s.files.reload(); err != nil {
		s.log.Error("not reloaded; what was read before holds", "error", err)
	} else {
		s.log.Info("passwords, rules and certificates reloaded")
	}
	fresh, err := s.again()
	if err != nil {
		s.log.Error("the configuration has an error", "error", err)
		return
	}
	if changed := s.config.fixed(&fresh); len(changed) > 0 {
		s.log.Warn("these settings need a restart", "settings", changed)
	}
}
