package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/http1"
	"github.com/dunlin-mqtt/dunlin/config"
)

// answerIn is how long the gateway on this machine may take to answer.
const answerIn = 30 * time.Second

// asker is a command that asks the running gateway over its socket.
type asker struct {
	s      streams
	flags  *flags.Set
	help   string
	socket string
	config string
	json   bool

	patience time.Duration
}

func newAsker(name, help string, s streams) *asker {
	q := &asker{s: s, flags: flags.New(name), help: help, patience: answerIn}
	q.flags.StringVar(&q.socket, "socket", os.Getenv("DUNLIN_SOCKET"), "the gateway's `socket`; $DUNLIN_SOCKET")
	q.flags.StringVarP(&q.config, "config", "c", "", "configuration `file`; its data_dir has the socket")
	return q
}

// jsonFlag adds --json.
func (q *asker) jsonFlag() { q.flags.BoolVar(&q.json, "json", false, "print JSON") }

func (q *asker) parse(args []string) (code int, done bool) {
	return parseFlags(q.flags, args, q.s, func(w io.Writer) { printHelp(w, q.help, q.flags) })
}

func (q *asker) usage(format string, args ...any) int {
	return usageError(q.s, q.flags.Name(), fmt.Sprintf(format, args...))
}

// path finds the socket: the one that was named, that of the service, that in
// the data_dir of the configuration. A file with mistakes has a path as well: a
// gateway that was started before they were made still runs.
func (q *asker) path() (path string, mistakes config.Errors) {
	if q.socket != "" {
		return q.socket, nil
	}
	if _, err := os.Stat(serviceSocket); err == nil && q.config == "" {
		return serviceSocket, nil
	}
	file, found := configPath(q.config)
	if !found {
		return socketPath(config.Default(tables())), nil
	}
	cfg, errs := config.LoadFile(file, tables(), os.LookupEnv)
	if cfg == nil {
		return socketPath(onlyDataDir(file)), errs
	}
	return socketPath(cfg), nil
}

// onlyDataDir reads a configuration that has mistakes as if its line of
// data_dir were all of it.
func onlyDataDir(file string) *config.Config {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "data_dir:") {
			if cfg, _ := config.Load(file, []byte(line), tables(), os.LookupEnv); cfg != nil {
				return cfg
			}
		}
	}
	return config.Default(tables())
}

// ask sends a request; the caller ends ctx when it is done with the answer. An
// error of the gateway is an *api.Problem.
func (q *asker) ask(ctx context.Context, method, target string) (*http1.Response, error) {
	path, mistakes := q.path()
	nc, err := api.Dial(ctx, path)
	if err != nil {
		return nil, &unreachable{path, mistakes, err}
	}
	r, err := http1.Do(ctx, nc, method, target, "dunlin", nil, nil)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Status < 300 {
		return r, nil
	}
	defer nc.Close()
	p := &api.Problem{Status: r.Status, Title: "the gateway answers " + fmt.Sprint(r.Status)}
	if json.NewDecoder(r.Body).Decode(p) != nil {
		return nil, p // the status says enough
	}
	return nil, p
}

// get asks for a document and decodes it into doc; with --json it prints it as
// well and reports false.
func (q *asker) get(ctx context.Context, method, target string, doc any) (show bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, q.patience)
	defer cancel()
	var b []byte
	r, err := q.ask(ctx, method, target)
	if err == nil {
		b, err = io.ReadAll(r.Body)
	}
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return false, fmt.Errorf("the gateway has not answered within %v", q.patience)
	case err != nil:
		return false, err
	case q.json:
		_, err = onTerminal(q.s.out).Write(b)
	}
	if err == nil && doc != nil {
		err = json.Unmarshal(b, doc)
	}
	return !q.json, err
}

// unreachable is a socket where nobody answers.
type unreachable struct {
	path     string
	mistakes config.Errors // of the configuration that was to say where it is
	err      error
}

func (u *unreachable) Error() string {
	switch {
	case errors.Is(u.err, fs.ErrPermission):
		return "you may not use " + u.path + ": be root or in the group of the gateway ('sudo usermod -aG dunlin $USER', then log in again)"
	case errors.Is(u.err, fs.ErrNotExist), errors.Is(u.err, syscall.ECONNREFUSED):
		text := "no gateway runs with its socket at " + u.path + ": start it ('systemctl start dunlin' or 'dunlin run'), or name its configuration with -c or its socket with --socket"
		if len(u.mistakes) > 0 {
			text += "; " + u.mistakes[0].Error()
		}
		return text
	}
	var op *net.OpError
	if errors.As(u.err, &op) {
		return u.path + ": " + op.Err.Error()
	}
	return u.path + ": " + u.err.Error()
}

func (u *unreachable) Unwrap() error { return u.err }

// fail reports an error and returns its exit code.
func (q *asker) fail(err error) int {
	var gone *unreachable
	var p *api.Problem
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	fmt.Fprintf(onTerminal(q.s.err), "dunlin %s: %v\n", q.flags.Name(), err)
	switch {
	case errors.As(err, &gone) && errors.Is(err, fs.ErrPermission):
		return exitRefused
	case errors.As(err, &gone):
		return exitUnreachable
	case errors.As(err, &p) && (p.Status == 401 || p.Status == 403):
		return exitRefused
	}
	return exitFailed
}
