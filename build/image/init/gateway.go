package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The user and group of dunlin, and the groups that own its devices, as in
// the image's /etc/group.
const (
	gatewayUser = 900
	dialout     = 20
	gpio        = 901
	i2c         = 902
	spi         = 903
)

const (
	stopTime     = 20 * time.Second // how long dunlin may take to stop
	badConfig    = 3                // its exit code for a configuration with faults
	vainStarts   = 5                // it takes until the card says so: half a minute, a network may have come by then
	emergencyDir = "/run/emergency"
)

func gatewayRights() *syscall.Credential {
	return &syscall.Credential{Uid: gatewayUser, Gid: gatewayUser, Groups: []uint32{dialout, gpio, i2c, spi}}
}

// gateway runs dunlin until it ends or ctx does. A configuration that dunlin
// refuses is not the end: the one that the image came with takes its place,
// so that there is a page to look at, and the card says why.
func (b *board) gateway(ctx context.Context) error {
	b.keepData(ctx)
	b.emergency.Store(false)
	said, err := b.runGateway(ctx, etcDir)
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() != badConfig {
		return err
	}
	b.emergency.Store(true)
	b.report("configuration", "It is refused, so the gateway runs with the one it came with:\n"+said)
	if err := emergencyConfig(); err != nil {
		return err
	}
	_, err = b.runGateway(ctx, emergencyDir)
	return err
}

func emergencyConfig() error {
	if err := os.MkdirAll(emergencyDir, 0o755); err != nil {
		return err
	}
	if users, err := os.ReadFile(filepath.Join(etcDir, "users")); err == nil {
		if err := replaceFile(filepath.Join(emergencyDir, "users"), users, 0o600, gatewayUser); err != nil {
			return err
		}
	}
	return replaceFile(filepath.Join(emergencyDir, configFile), []byte(defaultConfig), 0o600, gatewayUser)
}

// runGateway runs dunlin once; said is what it said at last.
func (b *board) runGateway(ctx context.Context, etc string) (said string, err error) {
	cmd := asGateway(ctx, "run", "-c", filepath.Join(etc, configFile))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	cmd.Dir = homeDir
	cmd.Env = append(cmd.Env, "STATE_DIRECTORY="+homeDir, "RUNTIME_DIRECTORY=/run/dunlin", "NOTIFY_SOCKET="+notifySocket, "WATCHDOG_USEC=20000000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.logf("the gateway is process %d, running as user %s", cmd.Process.Pid, userOf(cmd.Process.Pid))
	b.life.started(cmd.Process, time.Now())
	last := newRing(16 << 10) // a panic's stacks are long
	b.log.copyFrom(io.TeeReader(out, last))
	err, said = cmd.Wait(), tail(string(last.text()), 2<<10)
	words := lastWords(err, string(last.text()))
	vain := b.life.ended(words)
	if ctx.Err() != nil {
		return said, err
	}
	if vain == vainStarts {
		b.report("gateway", "It does not start, and is tried again and again:\n"+said)
	}
	if u := b.updater.Load(); u != nil && crashed(err) {
		u.Crashed(words)
	}
	return said, err
}

// crashed tells whether a run ended by a panic or a signal, rather than with a
// reason that may lie outside of the program: an address, a disk.
func crashed(err error) bool {
	var exit *exec.ExitError
	const panicked, signaled = 2, -1
	return errors.As(err, &exit) && (exit.ExitCode() == panicked || exit.ExitCode() == signaled)
}

// tail is the end of a text, at most so many bytes of whole lines.
func tail(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = text[len(text)-most:]
	return text[strings.IndexByte(text, '\n')+1:]
}

// lastWords are why a run ended, in a line: what a panic says stands above its
// stacks, everything else at the end. Who is killed has said nothing of it.
func lastWords(err error, said string) string {
	why := "it ended by itself"
	if err != nil {
		why = err.Error()
	}
	if why == "signal: killed" {
		return why + ", as the kernel does when memory runs out"
	}
	last := ""
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			break
		}
	}
	if last != "" {
		why += ": " + last[:min(len(last), 300)]
	}
	return why
}

// userOf is the effective user that the kernel says a process has.
func userOf(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			return strings.Fields(ids)[1]
		}
	}
	return "unknown"
}
