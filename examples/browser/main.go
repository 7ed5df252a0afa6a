// Command browser serves a web page whose program is this library, compiled to
// WebAssembly. The page is a room: what is written in one window is read in all others.
//
//	go run ./examples/browser
//
// Then open the URL that it prints, twice. The pages speak MQTT over WebSocket with the
// broker of this program. With -server they use another one; it has to admit pages of
// other hosts.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/broker"
)

//go:embed page/index.html
var index []byte

func main() {
	address := flag.String("listen", "localhost:8080", "address to serve the page on")
	server := flag.String("server", "", "WebSocket URL of the server that the page uses (the broker of this program)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *address, *server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address, server string) error {
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("open http://%s\n", ln.Addr())
	b := broker.New(broker.Config{})
	defer b.Close()
	return serve(ctx, ln, handler(dir, b, server))
}

// build makes the program of the page, and puts what runs it beside it.
func build(ctx context.Context, dir string) error {
	const page = "github.com/seed65a45251/mqtt/examples/browser/page"
	compile := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "page.wasm"), page)
	compile.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "wasm_exec.js"), script, 0o644)
}

// handler serves the page, its program and the WebSocket.
func handler(dir string, b *broker.Broker, server string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(index)
	})
	mux.HandleFunc("GET /server", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, server) })
	mux.Handle("GET /program/", http.StripPrefix("/program/", http.FileServer(http.Dir(dir))))
	mux.Handle("/mqtt", b)
	return mux
}

func serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}
