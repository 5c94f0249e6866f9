package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readFile reads a regular file of at most most bytes. It must belong to this
// process's user or root, unless anyOwner is true; nobody else may write it,
// nor read it if it is secret. Symbolic links are not
// followed: who can make one in the directory could choose the file.
func readFile(path string, most int64, secret, anyOwner bool) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the path is named already
		}
		return nil, Faults{{File: path, Msg: "cannot open it: " + err.Error(), Hint: openHint(path, err)}}
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, Faults{{File: path, Msg: err.Error()}}
	}
	if fault := fileFault(path, info, secret, anyOwner); fault != nil {
		return nil, Faults{fault}
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, Faults{{File: path, Msg: "cannot read it: " + err.Error()}}
	case int64(len(b)) > most:
		return nil, Faults{{File: path, Msg: fmt.Sprintf("larger than %d KiB", most>>10)}}
	}
	return b, nil
}

// openHint says what to do about a file that cannot be opened.
func openHint(path string, err error) string {
	if info, lerr := os.Lstat(path); lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return "it is a symbolic link: name the file itself"
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("give it to the user that runs this: chown %d %s", os.Geteuid(), path)
	}
	return ""
}

// fileFault says why a file is not safe to use; nil when it is.
func fileFault(path string, info fs.FileInfo, secret, anyOwner bool) *Fault {
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return &Fault{File: path, Msg: "not a regular file"}
	case secret && mode.Perm()&0o077 != 0:
		return &Fault{File: path, Msg: fmt.Sprintf("others may read or change it (mode %#o)", mode.Perm()), Hint: "chmod 600 " + path}
	case mode.Perm()&0o022 != 0:
		return &Fault{File: path, Msg: fmt.Sprintf("others may change it (mode %#o)", mode.Perm()), Hint: "chmod go-w " + path}
	}
	if owner, ok := foreign(info); ok && !anyOwner {
		return &Fault{File: path, Msg: fmt.Sprintf("it belongs to another user (uid %d)", owner),
			Hint: fmt.Sprintf("chown %d %s", os.Geteuid(), path)}
	}
	return nil
}
