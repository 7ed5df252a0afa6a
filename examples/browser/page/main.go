//go:build js

// Command page is the program of the page: an ordinary client, and what shows its
// messages.
package main

import (
	"context"
	"io"
	"net/http"
	"syscall/js"

	"github.com/seed65a45251/mqtt"
)

var document = js.Global().Get("document")

func main() {
	if err := run(context.Background()); err != nil {
		element("state").Set("textContent", err.Error())
	}
}

func run(ctx context.Context) error {
	server, err := serverURL()
	if err != nil {
		return err
	}
	client, err := mqtt.Start(server, mqtt.Config{})
	if err != nil {
		return err
	}
	defer client.Close()
	go showState(client.Watch(ctx))

	sub, err := client.Subscribe(ctx, "room", mqtt.ExactlyOnce)
	if err != nil {
		return err
	}
	onSubmit(func(text string) {
		client.Publish(ctx, "room", []byte(text), mqtt.ExactlyOnce) // waits for a connection if need be
	})
	go client.Respond(ctx, "page/text", func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
		return &mqtt.Message{Payload: []byte(document.Get("body").Get("innerText").String())}, nil
	})
	go client.Respond(ctx, "page/echo", func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
		return &mqtt.Message{Payload: m.Payload}, nil
	})
	if err := client.Publish(ctx, "room", []byte("somebody has come in"), mqtt.AtLeastOnce); err != nil {
		return err
	}
	for msg := range sub.Stream(ctx) {
		line := document.Call("createElement", "li")
		line.Set("textContent", string(msg.Payload))
		element("messages").Call("append", line)
	}
	return sub.Err()
}

// serverURL is what this page's own server says, or that server.
func serverURL() (string, error) {
	response, err := http.Get("server")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if other, err := io.ReadAll(response.Body); err != nil || len(other) > 0 {
		return string(other), err
	}
	location := js.Global().Get("location")
	scheme := "ws"
	if location.Get("protocol").String() == "https:" {
		scheme = "wss"
	}
	return scheme + "://" + location.Get("host").String() + "/mqtt", nil
}

func showState(events <-chan mqtt.Event) {
	for e := range events {
		text := e.State.String()
		if e.Err != nil {
			text += ": " + e.Err.Error()
		}
		element("state").Set("textContent", text)
	}
}

// onSubmit calls say for each text that somebody sends. It runs on a goroutine of its own:
// what waits would stop the page.
func onSubmit(say func(text string)) {
	element("form").Call("addEventListener", "submit", js.FuncOf(func(_ js.Value, args []js.Value) any {
		args[0].Call("preventDefault")
		input := element("text")
		text := input.Get("value").String()
		input.Set("value", "")
		go say(text)
		return nil
	}))
}

func element(id string) js.Value { return document.Call("getElementById", id) }
