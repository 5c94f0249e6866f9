package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// input is one line of standard input, or the error that ended it.
type input struct {
	line []byte
	err  error // io.EOF at the end
}

// runLines publishes one message for each line, many in flight at a time. A
// lost connection is made anew, and what was not acknowledged is sent again.
func (p *publisher) runLines(ctx context.Context, in io.Reader) int {
	// Nobody can interrupt a read of standard input: this one goroutine is not
	// waited for and ends with the process.
	lines := make(chan input)
	go readLines(ctx, in, lines)

	var unsent []byte // a QoS 0 line that a broken connection did not take
	for first := true; ; first = false {
		conn, err := client.Connect(ctx, p.options, &p.session)
		var refused *client.RefusedError
		if err != nil && (first || ctx.Err() != nil || errors.As(err, &refused)) {
			return reportEnd(ctx, p.err, err)
		}
		if err == nil {
			p.aliased = false // an alias ends with its connection [MQTT-3.3.2-7]
			unsent, err = p.pump(ctx, conn, lines, unsent)
			if err == nil {
				if err := conn.Close(mqtt.NormalDisconnection, p.flags.properties.sets.Disconnect); err != nil {
					return report(p.err, err)
				}
				return p.result()
			}
			conn.Close(mqtt.DisconnectWithWill, p.flags.properties.sets.Disconnect)
			if ctx.Err() != nil || !retryable(err) {
				return reportEnd(ctx, p.err, err)
			}
			fmt.Fprintf(p.err, "Warning: %v; connecting again\n", err)
		}
		if !wait(ctx, reconnectDelay) {
			return reportEnd(ctx, p.err, nil)
		}
	}
}

// pump publishes lines until they end (nil) or the connection does. A line
// that has to be sent again on the next connection is returned.
func (p *publisher) pump(ctx context.Context, conn *client.Conn, lines <-chan input, unsent []byte) ([]byte, error) {
	for {
		line := unsent
		if line == nil {
			select {
			case in := <-lines:
				if in.err == io.EOF {
					return nil, conn.Flush(ctx)
				}
				if in.err != nil {
					return nil, fmt.Errorf("read standard input: %w", in.err)
				}
				line = in.line
			case <-conn.Done():
				return nil, conn.Err()
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if err := conn.Publish(ctx, p.publication(line)); err != nil {
			return line, err
		}
		unsent = nil
	}
}

// readLines sends the lines of in, without their ends, then io.EOF for as
// long as anybody listens: a connection made anew at the end of the input
// asks again.
func readLines(ctx context.Context, in io.Reader, lines chan<- input) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(r)
		if err == nil || len(line) > 0 {
			select {
			case lines <- input{line: line}:
			case <-ctx.Done():
				return
			}
		}
		for err != nil {
			select {
			case lines <- input{err: err}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// readLine reads one line of any length that fits into a message. The result
// is never nil for a line, also an empty one.
func readLine(r *bufio.Reader) ([]byte, error) {
	line := []byte{}
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxPayload {
			return nil, errTooLarge
		}
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
