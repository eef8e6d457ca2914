//go:build !linux

package leasestore

import "time"

func pause(d time.Duration) { time.Sleep(d) }
