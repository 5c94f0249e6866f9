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
	return write(args[1], slim)
}

// write makes the file in pieces. Linux keeps what one call writes in folios of
// up to that size, and maps a folio whole when one of its pages runs: a program
// written at once has 4 MB more resident until it is read from the disk anew.
func write(name string, content []byte) error {
	const piece = 64 << 10
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	for rest := content; len(rest) > 0 && err == nil; rest = rest[min(len(rest), piece):] {
		_, err = f.Write(rest[:min(len(rest), piece)])
	}
	return errors.Join(err, f.Close())
}
