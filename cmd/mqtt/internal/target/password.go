package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
)

// setPassword finds the password. A command is run again for each further connection,
// so that it can print tokens that expire.
func (f *Flags) setPassword(ctx context.Context, cfg *mqtt.Config) error {
	switch {
	case f.askPassword:
		password, err := Ask(ctx, f.passwordPrompt())
		if err != nil {
			return exit.With(max(exit.Code(err), exit.Failed), fmt.Errorf("password: %w", err))
		}
		cfg.Password = given(password)
	case f.passwordFile != "":
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return exit.Usagef("password: %w", err)
		}
		cfg.Password = given(string(withoutLineEnd(text)))
	case f.passwordCommand != "":
		first, err := f.runPasswordCommand(ctx)
		if err != nil {
			return exit.With(exit.Failed, err)
		}
		cfg.Attempt = f.passwordFor(first)
	case f.password != "":
		cfg.Password = mqtt.Secret(f.password)
	}
	return nil
}

// given turns an empty password that was given into one that is sent.
func given(password string) mqtt.Secret {
	if password == "" {
		return mqtt.Empty
	}
	return mqtt.Secret(password)
}

// passwordFor returns a Config.Attempt that gives the first attempt the password first
// and runs the command for each later one.
func (f *Flags) passwordFor(first mqtt.Secret) func(context.Context, *mqtt.Attempt) error {
	var once sync.Once
	return func(ctx context.Context, a *mqtt.Attempt) (err error) {
		fresh := true
		once.Do(func() { a.Password, fresh = first, false })
		if fresh {
			a.Password, err = f.runPasswordCommand(ctx)
		}
		return err
	}
}

func (f *Flags) runPasswordCommand(ctx context.Context) (mqtt.Secret, error) {
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/c"}
	}
	c := exec.CommandContext(ctx, shell[0], append(shell[1:], f.passwordCommand)...)
	c.Stderr = f.cmd.ErrOrStderr()
	text, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("the command of --password-command has failed: %w", err)
	}
	return given(string(withoutLineEnd(text))), nil
}

func withoutLineEnd(text []byte) []byte {
	text = bytes.TrimSuffix(text, []byte("\n"))
	return bytes.TrimSuffix(text, []byte("\r"))
}

func (f *Flags) passwordPrompt() string {
	if f.username == "" {
		return "Password: "
	}
	return "Password of " + strings.ToValidUTF8(f.username, "?") + ": "
}

// Ask reads a password from the terminal, without echo. Standard input and output stay
// free for messages.
func Ask(ctx context.Context, prompt string) (string, error) {
	in, out, err := openTerminal()
	if err != nil {
		return "", fmt.Errorf("there is no terminal to ask on: %w", err)
	}
	defer in.Close()
	defer out.Close()
	fd := int(in.Fd())
	tty := struct {
		io.Reader
		io.Writer
	}{in, out}
	// The echo is off before the prompt invites to type.
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() { // lives until the process ends if the context ends first
		text, err := term.NewTerminal(tty, "").ReadPassword(prompt)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		if errors.Is(a.err, io.EOF) { // Control-C is no signal in this mode
			a.err = exit.Signal{Signal: os.Interrupt}
		}
		return a.text, errors.Join(a.err, term.Restore(fd, before))
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}

// openTerminal opens the terminal of the process.
func openTerminal() (in, out *os.File, err error) {
	names := []string{"/dev/tty", "/dev/tty"}
	if runtime.GOOS == "windows" {
		names = []string{"CONIN$", "CONOUT$"}
	}
	if in, err = os.OpenFile(names[0], os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile(names[1], os.O_RDWR, 0); err != nil {
		return nil, nil, errors.Join(err, in.Close())
	}
	return in, out, nil
}
