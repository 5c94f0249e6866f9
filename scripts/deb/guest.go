package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guest is an emulated machine that runs.
type guest struct {
	dir     string // of its sockets and its console's log
	cmd     *exec.Cmd
	agent   net.Conn // takes commands
	answers *bufio.Reader
	monitor net.Conn
	replies *bufio.Reader
}

// boot starts the machine of an image; the archive packages is its second disk, and
// nothing of what the machine writes stays. It waits until the machine's
// systemd has started everything.
func boot(dir, image, packages string) (*guest, error) {
	g := &guest{dir: dir}
	socket := func(name string) string {
		return "socket,id=" + name + ",server=on,wait=off,path=" + filepath.Join(dir, name)
	}
	g.cmd = exec.Command("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(image, "kernel"), "-initrd", filepath.Join(image, "initrd"),
		"-append", "console=ttyAMA0 root=/dev/vda rw quiet panic=-1 systemd.show_status=0",
		"-serial", "file:"+filepath.Join(dir, "console.log"),
		"-drive", "if=none,id=system,format=raw,cache=unsafe,snapshot=on,file="+filepath.Join(image, "disk.ext4"), "-device", "virtio-blk-pci,drive=system",
		"-drive", "if=none,id=packages,format=raw,read-only=on,file="+packages, "-device", "virtio-blk-pci,drive=packages",
		"-netdev", "user,id=lan", "-device", "virtio-net-pci,netdev=lan,romfile=", "-device", "virtio-rng-pci",
		"-device", "virtio-serial-pci", "-chardev", socket("agent"), "-device", "virtserialport,chardev=agent,name=agent",
		"-chardev", socket("monitor"), "-mon", "chardev=monitor")
	g.cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	g.cmd.Stderr = os.Stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	var err error
	if g.agent, err = dial(filepath.Join(dir, "agent")); err == nil {
		g.answers = bufio.NewReader(g.agent)
		g.monitor, err = dial(filepath.Join(dir, "monitor"))
	}
	if err == nil {
		g.replies = bufio.NewReader(g.monitor)
		_, err = g.replies.ReadString(')') // "(qemu)"
	}
	if err == nil {
		_, _, err = g.run("systemctl is-system-running --wait")
	}
	if err != nil {
		g.kill()
		return nil, err
	}
	return g, nil
}

// dial waits up to ten seconds for a socket.
func dial(path string) (c net.Conn, err error) {
	for range 200 {
		if c, err = net.Dial("unix", path); err == nil {
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

// run has the machine carry out a command of its shell, within ten minutes.
func (g *guest) run(command string) (output string, code int, err error) {
	if strings.Contains(command, "\n") {
		return "", 0, errors.New("a command is one line")
	}
	g.agent.SetDeadline(time.Now().Add(10 * time.Minute))
	if _, err := fmt.Fprintln(g.agent, command); err != nil {
		return "", 0, err
	}
	line, err := g.answers.ReadString('\n')
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", command, err)
	}
	status, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	if code, err = strconv.Atoi(status); err != nil {
		return "", 0, fmt.Errorf("%s: the machine answers %q", command, line)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return strings.TrimSpace(string(b)), code, err
}

// forward makes a TCP port of the machine reachable here, as the network around
// it reaches it, and returns the address.
func (g *guest) forward(port int) (address string, err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address = free.Addr().String()
	free.Close()
	g.monitor.SetDeadline(time.Now().Add(time.Minute))
	if _, err = fmt.Fprintf(g.monitor, "hostfwd_add lan tcp:%s-:%d\n", address, port); err == nil {
		_, err = g.replies.ReadString(')')
	}
	return address, err
}

// kill is a power cut.
func (g *guest) kill() {
	g.cmd.Process.Kill()
	g.cmd.Wait()
}
