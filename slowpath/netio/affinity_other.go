//go:build !linux

package netio

import "errors"

func setAffinity([]int) error { return errors.ErrUnsupported }
