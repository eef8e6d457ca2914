//go:build !linux

package leasestore

import "time"

type sleeper struct{}

func (*sleeper) sleep(d time.Duration) { time.Sleep(d) }
