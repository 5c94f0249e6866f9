package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "slim:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: slim PROGRAM SLIM | slim -lines PROGRAM <TRACE")
	}
	name := args[0]
	if name == "-lines" {
		name = args[1]
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	p, err := open(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if args[0] == "-lines" {
		return p.lines(in, out)
	}
	slim, err := p.slim()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(args[1], slim, 0o755)
}
