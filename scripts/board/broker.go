package main

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// broker is a mosquitto on this machine, and all that was published there.
type broker struct {
	dir     string
	port    int
	server  *exec.Cmd
	watcher *exec.Cmd
	mu      sync.Mutex
	last    map[string]string
	all     map[string][]string
}

func startBroker(dir string) (*broker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &broker{dir: dir, port: l.Addr().(*net.TCPAddr).Port, last: map[string]string{}, all: map[string][]string{}}
	l.Close()
	file := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nuser root\n", b.port, dir)
	if err := os.WriteFile(filepath.Join(dir, "mosquitto.conf"), []byte(file), 0o644); err != nil {
		return nil, err
	}
	return b, b.start()
}

func child(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (b *broker) start() error {
	b.server = child("mosquitto", "-c", filepath.Join(b.dir, "mosquitto.conf"))
	b.server.Stderr = nil
	if err := b.server.Start(); err != nil {
		return err
	}
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.port)); err == nil {
			c.Close()
			return b.watch()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("mosquitto does not listen")
}

// watch reads everything that is published, as retained messages too.
func (b *broker) watch() error {
	b.watcher = child("mosquitto_sub", "-p", fmt.Sprint(b.port), "-q", "1", "-v", "-t", "#", "-F", "%r %t %p")
	b.watcher.Stderr = nil
	out, err := b.watcher.StdoutPipe()
	if err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			retained, rest, _ := strings.Cut(lines.Text(), " ")
			topic, payload, _ := strings.Cut(rest, " ")
			b.mu.Lock()
			b.last[topic] = payload
			if retained == "0" {
				b.all[topic] = append(b.all[topic], payload)
			}
			b.mu.Unlock()
		}
	}()
	return b.watcher.Start()
}

func (b *broker) stop() {
	b.server.Process.Signal(syscall.SIGTERM)
	b.server.Wait()
	b.watcher.Process.Kill()
	b.watcher.Wait()
}

// value is what a topic had last.
func (b *broker) value(topic string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[topic]
}

// values are all that a topic had while somebody watched.
func (b *broker) values(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.all[topic]...)
}

// topics are all that had a value.
func (b *broker) topics() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.last))
}

// retained asks anew what a topic keeps.
func (b *broker) retained(topic string) string {
	out, _ := child("mosquitto_sub", "-p", fmt.Sprint(b.port), "-t", topic, "-C", "1", "-W", "5", "--retained-only").Output()
	return strings.TrimSpace(string(out))
}

func (b *broker) publish(topic, payload string) error {
	return child("mosquitto_pub", "-p", fmt.Sprint(b.port), "-q", "1", "-t", topic, "-m", payload).Run()
}
