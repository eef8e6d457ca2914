//go:build !linux

package netio

import "time"

type napper struct{}

func (*napper) sharpen() {}

func (*napper) nap(ns int64) { time.Sleep(time.Duration(ns)) }
