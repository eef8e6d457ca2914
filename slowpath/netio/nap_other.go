//go:build !linux

package netio

import "time"

func sharpenNaps() {}

func nap(ns int64) { time.Sleep(time.Duration(ns)) }
