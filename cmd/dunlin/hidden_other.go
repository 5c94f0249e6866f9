//go:build !linux && !darwin

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

func readHidden(context.Context, *os.File, io.Writer, string) ([]byte, error) {
	return nil, errors.New("there is no way here to hide what is typed: use --stdin")
}

// readKeys knows no terminals here.
func readKeys(context.Context, *os.File, chan<- byte) {}

func keepOwner(*os.File, fs.FileInfo) error { return nil }
