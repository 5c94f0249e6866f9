package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if os.Getpid() != 1 { // it would reconfigure the machine that it is tried on
		fmt.Fprintln(os.Stderr, "init: this is the first process of dunlin's image, and refuses to run as another")
		os.Exit(1)
	}
	b := newBoard()
	b.mountKernel()
	b.openConsole()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	b.readBoot()
	b.mountData()
	b.takeName()
	b.run(ctx)
	b.end()
}
