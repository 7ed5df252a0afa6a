package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxResponse bounds the header of an HTTP response.
const maxResponse = 64 << 10

// maxQuoted bounds what an error says of it.
const maxQuoted = 200

// exchange writes a request to nc and reads the header of the response. early is
// what came behind it.
func exchange(ctx context.Context, nc net.Conn, r *http.Request, write func(io.Writer) error) (_ *http.Response, early []byte, err error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Now()) })
	defer func() {
		if !stop() || ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	var request bytes.Buffer
	if err := write(&request); err != nil {
		return nil, nil, err
	}
	if _, err := nc.Write(request.Bytes()); err != nil {
		return nil, nil, err
	}
	limited := &io.LimitedReader{R: nc, N: maxResponse}
	reader := bufio.NewReader(limited)
	response, err := http.ReadResponse(reader, r)
	if err != nil {
		if text := err.Error(); limited.N == 0 {
			err = fmt.Errorf("HTTP response of more than %d bytes", maxResponse)
		} else if len(text) > maxQuoted {
			err = errors.New(text[:maxQuoted]) // it quotes the response, which may be long
		}
		return nil, nil, err
	}
	early, _ = reader.Peek(reader.Buffered())
	return response, early, nil
}
