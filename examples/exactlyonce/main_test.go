package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// TestMain runs the program itself in the processes that a test starts and kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-server" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEachPaymentCountsOnceThoughTheProgramIsKilled(t *testing.T) {
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	address, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, dir := "mqtt://"+address.String(), t.TempDir()

	// The first process makes the subscription.
	runUntil(t, server, dir, func() { pay(t, server, 1) }, "1 payments, 1 in all")
	const payments = 300
	pay(t, server, payments-1)
	last := 1
	for kill := 1; last < payments; kill++ {
		last = runFor(t, server, dir, 1+kill*7%23, payments)
	}
	require.Equal(t, payments, last)
}

func pay(t *testing.T, server string, n int) {
	payer, err := mqtt.Connect(t.Context(), server, mqtt.Config{})
	require.NoError(t, err)
	for range n {
		require.NoError(t, payer.Publish(t.Context(), "payments", []byte("1"), mqtt.ExactlyOnce))
	}
	require.NoError(t, payer.Disconnect(context.Background()))
}

// start starts the program and returns a scanner of its lines and a function that kills it.
func start(t *testing.T, server, dir string) (*bufio.Scanner, func()) {
	command := exec.Command(os.Args[0], "-server", server, "-dir", dir, "-n", "0")
	command.Stderr = t.Output()
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return bufio.NewScanner(out), func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

// runUntil runs the program until it has written line, and kills it then.
func runUntil(t *testing.T, server, dir string, begun func(), line string) {
	lines, kill := start(t, server, dir)
	defer kill()
	for lines.Scan() {
		switch {
		case strings.HasPrefix(lines.Text(), "subscribed"):
			begun()
		case lines.Text() == line:
			return
		}
	}
	t.Fatal("the program has ended")
}

// runFor kills the program after that many messages, or after the last. It returns how many
// payments the program has then counted.
func runFor(t *testing.T, server, dir string, messages, all int) (payments int) {
	lines, kill := start(t, server, dir)
	defer kill()
	for lines.Scan() {
		total := 0
		_, err := fmt.Sscanf(strings.TrimPrefix(lines.Text(), "subscribed; "), "%d payments, %d in all", &payments, &total)
		require.NoError(t, err)
		require.Equal(t, payments, total)
		if messages--; messages == 0 || payments == all {
			return payments
		}
	}
	t.Fatal("the program has ended")
	return 0
}
