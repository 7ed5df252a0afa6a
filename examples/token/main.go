// Command token logs in with tokens that expire. The server ends the connection of a client
// whose token has expired; the client connects again with the next one, and what it
// publishes meanwhile waits.
//
//	go run ./examples/token -server mqtts://mqtt.example.com -token 'my-cloud print-token' -n 0
//
// The token is the password. It is what the command prints, which runs for every attempt
// to connect. Without -server the program brings a broker whose tokens live for a moment.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	command := flag.String("token", "", "command that prints a token, with -server")
	count := flag.Int("n", 3, "how many tokens to use before the end; 0: no end")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *command, *count) })
}

func run(ctx context.Context, out io.Writer, server, command string, count int) error {
	token := func(ctx context.Context) (string, error) {
		printed, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
		return strings.TrimSpace(string(printed)), err
	}
	if server == "" {
		issuer := newIssuer(200 * time.Millisecond)
		url, stop, err := demo.Broker(issuer.broker, "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer stop()
		server, token = url, issuer.token
	}

	// The functions of a Config that make something new are called for every attempt.
	used := make(chan int, 1)
	n := 0
	client, err := mqtt.Connect(ctx, server, mqtt.Config{
		ClientID:   "token",
		RetryFirst: true, // a token may be too old already when it arrives
		Attempt: func(ctx context.Context, a *mqtt.Attempt) error {
			password, err := token(ctx)
			if err != nil {
				return err // the client tries again, with longer and longer pauses
			}
			n++
			a.Username, a.Password = "token", mqtt.Secret(password)
			if a.Cause != nil {
				fmt.Fprintln(out, "connection lost:", a.Cause)
			}
			fmt.Fprintln(out, "logging in with token", n)
			select {
			case used <- n:
			default:
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	defer client.Close()

	// What is published while there is no connection waits for the next one.
	sent, tick := 0, time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for logins := 0; count == 0 || logins < count; {
		select {
		case logins = <-used:
		case <-tick.C:
			if err := client.Publish(ctx, "token/beat", fmt.Append(nil, sent), mqtt.AtLeastOnce); err != nil {
				return err
			}
			sent++
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "every message was acknowledged")
	return nil
}
