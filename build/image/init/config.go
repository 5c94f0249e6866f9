package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// takeConfig takes dunlin.yaml and what lies beside it over, if dunlin finds
// no fault in it. What was there before stays until then, and otherwise.
func (b *board) takeConfig(ctx context.Context, dir string) error {
	files, err := configFiles(dir)
	if err != nil || files == nil || sameFiles(etcDir, files) {
		return err
	}
	next := etcDir + ".new"
	if err := stage(next, etcDir, files); err != nil {
		return err
	}
	out, err := asGateway(ctx, "check", filepath.Join(next, configFile)).CombinedOutput()
	if err != nil {
		told := strings.ReplaceAll(string(bytes.TrimSpace(out)), next+"/", "")
		return errors.Join(fmt.Errorf("is not taken over, the one before stays:\n%s", told), os.RemoveAll(next))
	}
	b.logf("%s is taken over from the card", configFile)
	return swap(etcDir)
}

// configFiles reads the configuration, what it may include, and its
// certificates: nil without a configuration.
func configFiles(dir string) (map[string][]byte, error) {
	main, err := readSmall(filepath.Join(dir, configFile), fileLimit)
	if err != nil || main == nil {
		return nil, err
	}
	if len(bytes.TrimSpace(main)) == 0 { // it would do nothing, and be reachable by nobody
		return nil, errors.New("is empty and not taken over: write a configuration, or take the file away")
	}
	files := map[string][]byte{configFile: main}
	for _, sub := range []string{".", includeDir} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && sub == "." {
			return nil, err
		}
		for _, e := range entries {
			name := filepath.Join(sub, e.Name())
			ending := strings.ToLower(filepath.Ext(name))
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") || strings.EqualFold(name, configFile) || !slices.Contains([]string{".yaml", ".pem", ".crt", ".key", ".json"}, ending) {
				continue
			}
			if len(files) == filesLimit {
				return nil, fmt.Errorf("more than %d files lie beside it", filesLimit)
			}
			if files[name], err = readSmall(filepath.Join(dir, name), fileLimit); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// sameFiles tells whether a directory has these files already, and includes no
// other. A key that is gone from the card stays in force.
func sameFiles(dir string, files map[string][]byte) bool {
	for name, content := range files {
		if old, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(old, content) {
			return false
		}
	}
	for _, sub := range []string{".", includeDir} {
		old, _ := filepath.Glob(filepath.Join(dir, sub, "*.yaml")) // the pattern is a good one
		for _, name := range old {
			if name, err := filepath.Rel(dir, name); err == nil && files[name] == nil {
				return false
			}
		}
	}
	return true
}

// stage makes a directory of the new files, and of the old ones' users.
func stage(next, old string, files map[string][]byte) error {
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	if err := os.Mkdir(next, 0o750); err != nil {
		return err
	}
	if err := os.Chown(next, 0, gatewayUser); err != nil {
		return err
	}
	if users, err := os.ReadFile(filepath.Join(old, "users")); err == nil {
		files["users"] = users
	}
	if err := os.Mkdir(filepath.Join(next, includeDir), 0o750); err != nil {
		return err
	}
	if err := os.Chown(filepath.Join(next, includeDir), 0, gatewayUser); err != nil {
		return err
	}
	for name, content := range files {
		if err := replaceFile(filepath.Join(next, name), content, 0o600, gatewayUser); err != nil {
			return err
		}
	}
	return nil
}

// swap puts dir.new in dir's place. A power cut in between leaves dir.old,
// and mendSwap puts it back.
func swap(dir string) error {
	if err := os.RemoveAll(dir + ".old"); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		return err
	}
	if err := os.Rename(dir+".new", dir); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return os.RemoveAll(dir + ".old")
}

// mendSwap comes after a power cut: without dir there is a dir.old.
func mendSwap(dir string) {
	if _, err := os.Stat(filepath.Join(dir, configFile)); err == nil {
		return
	}
	if _, err := os.Stat(filepath.Join(dir+".old", configFile)); err == nil {
		os.Remove(dir) // mountData has made an empty one; another is not removed
		os.Rename(dir+".old", dir)
	}
}
