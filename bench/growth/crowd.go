package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// crowd is many clients of a broker, which do the same at once.
type crowd struct {
	peers []*peer
	open  func() (net.Conn, error)
}

// do does one step with all of them, or with half of them.
func (c *crowd) do(step string) error {
	n := len(c.peers)
	switch step {
	case "connect":
		return sideBySide(n, func(i int) error {
			nc, err := c.open()
			if err != nil {
				return err
			}
			if c.peers[i], err = enter(nc, topicOf(i), 0, true); err == nil {
				c.peers[i].idle()
			}
			return err
		})
	case "publish":
		return sideBySide(n, func(i int) error {
			return c.peers[i].publish(1, func(int) string { return "a" }, payload, false)
		})
	case "disconnect":
		return sideBySide(n/2, func(i int) error { return c.peers[2*i].leave() })
	case "hang up":
		for _, p := range c.peers {
			p.Close()
		}
		return nil
	}
	return fmt.Errorf("no step %q", step)
}

// peersHere is a process with a crowd, which takes steps from its input until that ends.
func peersHere(addr string, n int) error {
	c := &crowd{peers: make([]*peer, n), open: func() (net.Conn, error) { return net.Dial("tcp", addr) }}
	if err := raiseOpenFiles(uint64(n) + 500); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := c.do(in.Text()); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}

// crowdApart is a crowd in a process of its own, so that what is measured here is the
// broker.
type crowdApart struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startCrowd(addr string, n int) (*crowdApart, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &crowdApart{cmd: exec.Command(self, "-peers", addr, "-n", strconv.Itoa(n))}
	c.cmd.Stderr = os.Stderr
	in, inErr := c.cmd.StdinPipe()
	out, outErr := c.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewScanner(out)
	return c, c.cmd.Start()
}

func (c *crowdApart) do(step string) error {
	if _, err := fmt.Fprintln(c.in, step); err != nil {
		return err
	}
	if !c.out.Scan() || strings.TrimSpace(c.out.Text()) != "done" {
		return fmt.Errorf("%s failed in the other process", step)
	}
	return nil
}

// close ends the other process.
func (c *crowdApart) close() error {
	c.in.Close()
	return c.cmd.Wait()
}

// raiseOpenFiles lifts the limit of this process. The runtime has already raised it as
// far as it may go without privileges.
func raiseOpenFiles(files uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= files {
		return err
	}
	limit.Cur, limit.Max = files, max(files, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed: %w", files, err)
	}
	return nil
}
