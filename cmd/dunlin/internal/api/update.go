package api

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net"
	"strings"
	"time"
)

// UpdateSocket is where the first process of dunlin's image listens. What is
// said there is in build/image/update/server.go.
const UpdateSocket = "/run/dunlin/update.sock"

// UpdateSilence is how long it may say nothing, after the whole file came too:
// it reads the slot back.
const UpdateSilence = 2 * time.Minute

const updatePath = "/api/v1/update"

// Updated is the updater's last word.
type Updated struct {
	Result string `json:"result"`
}

// takeUpdate passes a question on, and a file with it.
func takeUpdate(c *call) (any, error) {
	nc, err := net.Dial("unix", cmp.Or(c.a.Updater, UpdateSocket))
	if err != nil {
		return nil, problem(501, "this machine does not run dunlin's image")
	}
	defer context.AfterFunc(c.ctx, func() { nc.Close() })()
	question, body := "status\n", io.Reader(strings.NewReader(""))
	if c.Method == "POST" {
		question, body = "update\n", c.Rest
		if c.args["downgrade"] == "true" {
			question = "update downgrade\n"
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(nc, io.MultiReader(strings.NewReader(question), body)) // the answer says what came of it
		nc.(*net.UnixConn).CloseWrite()
	}()
	defer func() {
		nc.Close()
		<-sent // the client's next byte, or its silence, ends it
	}()
	for lines := bufio.NewScanner(nc); ; {
		nc.SetReadDeadline(time.Now().Add(UpdateSilence))
		if !lines.Scan() {
			return nil, problem(502, "the updater went away")
		}
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "ok":
			return Updated{rest}, nil
		case "refused":
			return nil, problem(422, "%s", rest)
		}
	}
}
