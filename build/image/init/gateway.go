package main

import (
	"context"
	"os"
	"os/exec"
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

// stopTime is how long dunlin may take to stop.
const stopTime = 20 * time.Second

// gateway runs dunlin until it ends or ctx does.
func (b *board) gateway(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/usr/bin/dunlin", "run", "-c", etcDir+"/dunlin.yaml")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	cmd.Dir = homeDir
	cmd.Env = []string{"PATH=/usr/bin", "HOME=" + homeDir, "STATE_DIRECTORY=" + homeDir, "RUNTIME_DIRECTORY=/run/dunlin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: gatewayUser, Gid: gatewayUser, Groups: []uint32{dialout, gpio, i2c, spi}},
		Setsid:     true,
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := os.MkdirAll("/run/dunlin", 0o755); err != nil {
		return err
	}
	if err := os.Chown("/run/dunlin", gatewayUser, gatewayUser); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.log.copyFrom(out)
	return cmd.Wait()
}
