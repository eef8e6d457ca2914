package netio

// ShedAll is the LoopOptions.Shed level at which everything goes that may.
const ShedAll = 256

// What waits is shed from shedFrom of the Conn's room on, a growing share, and
// all of it from shedFull on. A queue of that length lasts some milliseconds: a
// longer one makes every answer late and its frames fall out of the cache, and
// gains nothing.
const (
	shedFrom = 1.0 / 32
	shedFull = 1.0 / 8
	// shedLagNs is about how long a queue has to last before any of it is shed;
	// the ring is there to bridge what is shorter. A turn counts for shedTurnNs at
	// most: a worker that was off its processor for long is not one that is too slow.
	shedLagNs  = 100_000_000
	shedTurnNs = 2_000_000
)

// behind follows how full the Conn's room is and decides what to shed.
type behind struct {
	smooth float64 // share of the room, over the last shedLagNs
	lastNs int64
	level  uint32
}

// look takes the present share of the room and returns the level to shed at. It
// rises with what has lasted and falls with what is, so that nothing is shed once
// the ring is short again.
func (b *behind) look(share float64, nowNs int64) uint32 {
	d := max(nowNs-b.lastNs, 0)
	if share > 0 {
		d = min(d, shedTurnNs)
	}
	b.smooth += (share - b.smooth) * min(1, float64(d)/shedLagNs)
	b.lastNs = nowNs
	s := (min(b.smooth, share) - shedFrom) / (shedFull - shedFrom)
	return uint32(ShedAll * max(0, min(1, s)))
}

// press tells the Handler and Shed how far the loop is behind the batch of n that
// it has just received.
func (l *Loop) press(n int, nowNs int64) {
	waiting, room := 0, 1
	if n > 0 {
		waiting, room = l.backlog.Backlog()
		room = max(room, 1)
		if l.pressed != nil {
			l.pressed.SetPressure(uint8(min(255, 256*waiting/room)))
		}
	}
	if l.opt.Shed == nil {
		return
	}
	if level := l.behind.look(float64(waiting)/float64(room), nowNs); level != l.behind.level {
		l.behind.level = level
		l.opt.Shed(level)
	}
}
