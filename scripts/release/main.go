package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	made, err := epoch()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "sbom":
		return writeSBOM(os.Stdout, args[1], os.Getenv("VERSION"), made)
	case len(args) == 2 && args[0] == "licences":
		return writeLicences(os.Stdout, args[1], false)
	case len(args) == 2 && args[0] == "copyright":
		return writeLicences(os.Stdout, args[1], true)
	case len(args) == 3 && args[0] == "version":
		_, err := fmt.Println(packageVersion(args[1], args[2]))
		return err
	case len(args) >= 5 && args[0] == "oci":
		f, err := os.Create(args[1])
		if err != nil {
			return err
		}
		return errors.Join(writeImage(f, args[2], args[3], args[4:], os.Getenv("VERSION"), made), f.Close())
	}
	return errors.New("usage: release sbom BINARY | licences BINARY | copyright BINARY | version FORMAT VERSION | oci OUT.tar CERTIFICATES LICENCES ARCH=BINARY...")
}

// epoch is the time of a release, by the convention of reproducible builds.
func epoch() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
