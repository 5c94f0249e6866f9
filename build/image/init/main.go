package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 { // it would reconfigure the machine that it is tried on
		fmt.Fprintln(os.Stderr, "init: this is the first process of dunlin's image, and refuses to run as another")
		os.Exit(1)
	}
	b := newBoard()
	b.mountKernel()
	b.openConsole()
	// Control-Alt-Delete is SIGINT.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	b.ending.stop = stop
	unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
	// No program that init starts ever gets more rights than it is given.
	syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if err := loopback(); err != nil {
		b.logf("loopback: %v", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0); err != nil {
		b.logf("ports below 1024: %v", err)
	}
	b.loadModules()
	b.readBoot()
	b.mountData()
	b.restoreTime()
	b.takeUsersFiles(ctx)
	b.takeName()
	b.run(ctx)
	b.end()
}
