//go:build !linux && !darwin

package drivers

import "errors"

func statfs(string) (disk, error) { return disk{}, errors.ErrUnsupported }
